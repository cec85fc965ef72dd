"""RabbitMQ's management API: what AMQP has no words for, policies, bindings and the node's disk."""

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
        """Return what there is of a kind in the virtual host: policies, bindings.

        Raises Unavailable, with what to do.
        """
        return self._get(f"{what}/{urllib.parse.quote(self.rabbit.vhost, safe='')}")

    def nodes(self) -> list[dict[str, Any]]:
        """Return each node of the broker, with its disk and its alarms. Raises Unavailable."""
        return self._get("nodes")

    def _get(self, path: str) -> list[dict[str, Any]]:
        url = f"{self.url}/api/{path}"
        login = f"{self.rabbit.user}:{self.rabbit.password.read()}".encode()
        try:
            request = urllib.request.Request(  # noqa: S310 - the person's own setting
                url, headers={"Authorization": f"Basic {base64.b64encode(login).decode()}"}
            )
            tls = self.rabbit.tls
            handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
            if tls is not None:
                handlers.append(urllib.request.HTTPSHandler(context=tls.context()))
            with urllib.request.build_opener(*handlers).open(request, timeout=TIMEOUT) as answer:
                found = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            if error.code in (401, 403):
                raise Unavailable(
                    f"the management API at {self.url} refuses {self.rabbit.user}: check its"
                    " password, and give it the tags monitoring and policymaker (`rabbitmqctl"
                    " set_user_tags`)",
                    "refused",
                ) from error
            raise Unavailable(self._away(f"HTTP {error.code}")) from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise Unavailable(self._away(str(reason))) from error
        if not isinstance(found, list):
            raise Unavailable(self._away("what answers is another program"))
        return found

    def _away(self, why: str) -> str:
        return (
            f"no management API at {self.url}: {why}; set RABBIT_MANAGEMENT_URL, or enable it"
            " (`rabbitmq-plugins enable rabbitmq_management`)"
        )
