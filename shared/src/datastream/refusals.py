"""What the broker refuses, in its own words, and what to do about it."""

from __future__ import annotations

import re

#: What gives an account of the broker its rights; the containers' have them from `make deploy`.
MAKE_ACCOUNTS = "`datastream accounts --print --rabbitmq | sudo sh` on the broker's host"

#: What to do, by the broker's code and by words of its text. The first that fits counts.
_WHAT_TO_DO: tuple[tuple[int, str, str], ...] = (
    (404, "", "an operator must run `datastream topology`"),
    (530, "vhost .* not found", "check RABBIT_VHOST, or make it: `rabbitmqctl add_vhost`"),
    (
        530,
        "user (?:connection |channel )?limit",
        "raise the account's limit: `rabbitmqctl set_user_limits`",
    ),
    (530, "node .*limit", "raise connection_max or channel_max in the broker's rabbitmq.conf"),
    (530, "limit", "raise the virtual host's limit: `rabbitmqctl set_vhost_limits`"),
    (
        530,
        "access to vhost",
        f"it refuses the account this RABBIT_VHOST: check it, or give it: {MAKE_ACCOUNTS}",
    ),
    (
        403,
        "exclusive use",
        "another connection consumes it alone: end that one, and datastream goes on",
    ),
    (
        403,
        "topic",
        f"give the account its routing keys: {MAKE_ACCOUNTS}",
    ),
    (403, "", f"give the account its rights: {MAKE_ACCOUNTS}"),
    (405, "", "another connection holds it as its own: end that one, and datastream goes on"),
    (
        406,
        "larger than (?:configured )?max",
        "set the producer's MAX_SLICE_BYTES and MAX_LINE_BYTES well below that, "
        "or raise max_message_size in the broker's rabbitmq.conf",
    ),
    (406, "limit in vhost", "raise the virtual host's limit: `rabbitmqctl set_vhost_limits`"),
    (
        406,
        "inequivalent arg",
        "it is there as another one: once it is empty remove it, and run `datastream topology`",
    ),
)

#: pika keeps the broker's code and text as the representation of an exception.
_WITHIN = re.compile(r"""ConnectionClosedByBroker: \((\d+)\) (['"])(.*)\2""", re.DOTALL)


def told(code: int, text: str) -> str:
    """Return what the broker said, and what to do about it where that is known."""
    for wanted, words, advice in _WHAT_TO_DO:
        if code == wanted and re.search(words, text):
            return f"{text.rstrip('.')}: {advice}"
    return f"{code} {text}"


def is_of_a_right(code: int, text: str) -> bool:
    """Whether the account lacks a right, rather than that another connection is in the way."""
    return code == 403 and "exclusive use" not in text


def within(words: str) -> tuple[int, str] | None:
    """Return code and text of the refusal in pika's words, None if they hold none."""
    match = _WITHIN.search(words)
    if match is None:
        return None
    return int(match[1]), match[3].replace("\\'", "'")
