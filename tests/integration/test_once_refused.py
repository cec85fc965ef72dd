"""`producer --once` with an account that the broker refuses."""

from __future__ import annotations

import pytest

from deployment import Deployment
from faults.installation import start_code

SOON = "import producer.publishing\nproducer.publishing.REFUSED_FOR = 0.5"


@pytest.mark.parametrize("wrong", ["password", "vhost", "right"])
def test_it_ends_and_says_why(deployment: Deployment, wrong: str) -> None:
    """Nobody need watch it: what is refused for a while is refused. The log is read again later."""
    log = deployment.folder / "access.log"
    log.write_text("a line\n")
    name = deployment.rabbit.vhost
    changes = {
        "password": ({"RABBIT_PASSWORD": "wrong"}, "check RABBIT_USER and RABBIT_PASSWORD"),
        "vhost": ({"RABBIT_VHOST": "nowhere"}, "check RABBIT_VHOST"),
        "right": (
            {"RABBIT_USER": name, "RABBIT_PASSWORD": "secret"},
            "give the account its rights",
        ),
    }
    env, words = changes[wrong]
    broker = deployment.broker
    broker.api("PUT", f"users/{name}", {"password": "secret", "tags": ""})
    broker.api(
        "PUT", f"permissions/{name}/{name}", {"configure": ".*", "write": "^$", "read": ".*"}
    )
    try:
        once = {"LOG_PATH": str(log), "ONCE": "yes", "FORMAT": "combined"}
        producer = start_code(deployment, "producer", SOON, **once, **env)

        assert producer.wait() == 77
        assert "Gave up: RabbitMQ refuses the account" in producer.text()
        assert words in producer.text()
    finally:
        broker.api("DELETE", f"users/{name}")
