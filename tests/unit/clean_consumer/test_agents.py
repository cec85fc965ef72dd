"""What a user agent says of itself: pure, and bounded whatever it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clean_consumer.agents import (
    BROWSER_LIMIT,
    DEVICE_LIMIT,
    LOOKED_AT_BYTES,
    SYSTEM_LIMIT,
    VERSION_LIMIT,
    Agent,
    AgentParser,
)

parse = AgentParser()

WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("text", "agent"),
    [
        (
            f"{WINDOWS} Chrome/120.0.0.0 Safari/537.36",
            Agent("Chrome", "120.0.0", "Windows", None, False),
        ),
        (
            f"{WINDOWS} Chrome/120.0.0.0 Safari/537.36 Edg/120.1",
            Agent("Edge", "120.1", "Windows", None, False),
        ),
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0",
            Agent("Firefox", "120.0", "Linux", None, False),
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 16_0 like Mac OS X) AppleWebKit/605.1.15"
            " (KHTML, like Gecko) Version/16.0 Mobile/15E148 Safari/604.1",
            Agent("Mobile Safari", "16.0", "iOS", "iPhone", False),
        ),
        (
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.example.com/bot.html)",
            Agent("Googlebot", "2.1", None, "Spider", True),
        ),
        ("curl/8.5.0", Agent("curl", "8.5.0", None, None, True)),
        ("Mozilla/5.0 zgrab/0.x", Agent(None, None, None, None, True)),
        ("", Agent(None, None, None, None, True)),
    ],
)
def test_browsers_devices_and_programs(text: str, agent: Agent) -> None:
    """A browser names its system; what names none is a program."""
    assert parse(text) == agent


def test_a_browser_without_a_window_is_a_bot() -> None:
    """It names a system, and nobody looks at it."""
    agent = parse("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/119.0")

    assert (agent.system, agent.is_bot) == ("Linux", True)


def test_only_the_beginning_is_looked_at() -> None:
    """What is past the limit changes nothing, in the middle of a character too."""
    beginning = "Mozilla/5.0 (X11; Linux x86_64) " + "é" * LOOKED_AT_BYTES

    assert parse(beginning + " Firefox/120.0") == parse(beginning)
    assert parse("x" * LOOKED_AT_BYTES + " Windows NT 10.0").system is None


@given(st.text(max_size=2_000))
def test_any_text_gives_columns_that_fit(text: str) -> None:
    """Whatever a client sends, each part keeps to its column, and it is a bot or not."""
    agent = parse(text)

    limits = (BROWSER_LIMIT, VERSION_LIMIT, SYSTEM_LIMIT, DEVICE_LIMIT)
    assert all(
        part is None or 0 < len(part) <= limit
        for part, limit in zip(agent[:4], limits, strict=True)
    )
    assert agent.is_bot in (True, False)


@pytest.mark.parametrize("family", ["browser", "device"])
def test_a_long_name_is_cut(family: str) -> None:
    """Some rules of ua-parser take a name from the text, of any length."""
    texts = {"browser": f"{'W' * 300}Bot/1.0", "device": f"Linux; Android 9; {'W' * 300} Build/X"}

    assert len(str(getattr(parse(texts[family]), family))) <= BROWSER_LIMIT
