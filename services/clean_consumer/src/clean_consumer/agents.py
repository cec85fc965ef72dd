"""What a user agent says of itself: browser, system, device, and whether it is a program."""

from __future__ import annotations

from typing import NamedTuple

from ua_parser import Parser
from ua_parser.loaders import load_lazy_builtins
from ua_parser.regex import Resolver

#: Bytes of a user agent that are looked at: no browser is named beyond them.
LOOKED_AT_BYTES = 512

#: The most characters of each text.
BROWSER_LIMIT, VERSION_LIMIT, SYSTEM_LIMIT, DEVICE_LIMIT = 64, 32, 64, 64


class Agent(NamedTuple):
    """The columns of user_agent that derive from its text."""

    browser: str | None
    browser_version: str | None
    system: str | None
    device: str | None
    is_bot: bool


class AgentParser:
    """ua-parser with its resolver in Rust, whose time is linear in the text."""

    def __init__(self) -> None:
        """Compile the rules: half a second, 30 MB."""
        self._parser = Parser(Resolver(load_lazy_builtins()))

    def __call__(self, text: str) -> Agent:
        """Return what a user agent says.

        A bot is what ua-parser knows as one, a browser without a window, or any agent that names
        no operating system: browsers do, scripts and scanners do not.
        """
        # surrogatepass: not every text can be encoded.
        head = text.encode("utf-8", "surrogatepass")[:LOOKED_AT_BYTES].decode("utf-8", "ignore")
        found = self._parser.parse(head)
        browser, system, device = found.user_agent, found.os, found.device
        version = (browser.major, browser.minor, browser.patch) if browser else ()
        return Agent(
            browser.family[:BROWSER_LIMIT] if browser else None,
            ".".join(part for part in version if part)[:VERSION_LIMIT] or None,
            system.family[:SYSTEM_LIMIT] if system else None,
            device.family[:DEVICE_LIMIT] if device else None,
            is_bot=system is None
            or (device is not None and device.family == "Spider")
            or (browser is not None and "Headless" in browser.family),
        )
