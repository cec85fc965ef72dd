"""RabbitMQ's management API, for what AMQP does not show: policies, bindings, the node's disk."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any

from datastream.config import Environment, RabbitSettings
from datastream.errors import Unavailable

#: Seconds.
TIMEOUT = 5.0


@dataclass(frozen=True)
class Management:
    """Where the API is; the account and the certificates are those of the broker."""

    url: str
    rabbit: RabbitSettings

    @classmethod
    def read(cls, env: Environment, rabbit: RabbitSettings) -> Management:
        """Return the settings; by default it is on the broker's host, at the plugin's own port."""
        host = f"[{rabbit.host}]" if ":" in rabbit.host else rabbit.host
        default = f"http://{host}:15672" if rabbit.tls is None else f"https://{host}:15671"
        return cls(env.text("RABBIT_MANAGEMENT_URL", default).rstrip("/"), rabbit)

    def of_vhost(self, what: str) -> list[dict[str, Any]]:
        """Return all of a kind in the virtual host: policies, bindings.

        Raises Unavailable, which says what to do.
        """
        return self._listed(f"{what}/{urllib.parse.quote(self.rabbit.vhost, safe='')}")

    def nodes(self) -> list[dict[str, Any]]:
        """Return each node of the broker, with its disk and its alarms. Raises Unavailable."""
        return self._listed("nodes")

    def put(self, path: str, body: dict[str, Any]) -> None:
        """Make or change something, as an administrator. Raises Unavailable."""
        self._ask("PUT", path, json.dumps(body).encode(), "administrator")

    def _listed(self, path: str) -> list[dict[str, Any]]:
        try:
            found = json.loads(self._ask("GET", path, None, "monitoring and policymaker"))
        except ValueError as error:
            raise Unavailable(self._away(str(error))) from error
        if not isinstance(found, list):
            raise Unavailable(self._away("what answers is another program"))
        return found

    def _ask(self, method: str, path: str, body: bytes | None, tags: str) -> bytes:
        """Return what it answers an account that needs these tags."""
        url = f"{self.url}/api/{path}"
        login = f"{self.rabbit.user}:{self.rabbit.password.read()}".encode()
        try:
            request = urllib.request.Request(  # noqa: S310 - the person's own setting
                url,
                body,
                {
                    "Authorization": f"Basic {base64.b64encode(login).decode()}",
                    "Content-Type": "application/json",
                },
                method=method,
            )
            tls = self.rabbit.tls
            handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
            if tls is not None:
                handlers.append(urllib.request.HTTPSHandler(context=tls.context()))
            with urllib.request.build_opener(*handlers).open(request, timeout=TIMEOUT) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            if error.code in (401, 403):
                raise Unavailable(
                    f"the management API at {self.url} refuses {self.rabbit.user}: check its"
                    f" password, and give it the tags {tags} (`rabbitmqctl set_user_tags`)",
                    "refused",
                ) from error
            raise Unavailable(self._away(f"HTTP {error.code}")) from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise Unavailable(self._away(str(reason))) from error

    def _away(self, why: str) -> str:
        return (
            f"no management API at {self.url}: {why}; set RABBIT_MANAGEMENT_URL, or enable it"
            " (`rabbitmq-plugins enable rabbitmq_management`)"
        )
