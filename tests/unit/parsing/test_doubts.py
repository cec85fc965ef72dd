"""Which formats are said to be ambiguous by themselves."""

from __future__ import annotations

import pytest

from datastream.parsing import PRESETS
from parsed import access_format


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("$msec $http_host $request_uri $status", [("http_host", "request_uri")]),
        ("$msec $http_host $request_id $request_uri", [("http_host", "request_uri")]),
        ("$msec $http_a,$http_b;$http_c", [("http_a", "http_b"), ("http_b", "http_c")]),
        ("$msec $http_a - $http_b", [("http_a", "http_b")]),
        ("$msec $upstream_status, $request_length", [("upstream_status", "request_length")]),
        ("$msec $http_x_forwarded_for, $host", [("http_x_forwarded_for", "host")]),
        ("$msec $http_x_forwarded_for,$host", [("http_x_forwarded_for", "host")]),
        ("$msec $upstream_addr : $host", [("upstream_addr", "host")]),
        # A group of servers may have any name.
        ("$msec $http_host $upstream_addr $request_uri", [("http_host", "request_uri")]),
        # What stands between them tells, or what they are.
        ('$msec "$http_host" "$request_uri"', []),
        ("$msec $http_host|$request_uri", []),
        ("$msec $http_host\\t$request_uri", []),
        ("$msec $http_host $status $request_uri", []),
        ("$msec $http_host $request $status", []),
        ("$msec $request $http_host $status", []),
        ("$msec $http_host $upstream_addr $upstream_status $request_uri", []),
        ("$msec $http_host [$time_local] $request_uri", []),
        ("$msec $upstream_addr,$upstream_status,$status", []),
        ("$msec $upstream_addr: $host", []),
        ("$msec $host $request_id $status", []),
        ("$msec $http_host $request_id $status", []),
        ("$msec $http_host$request_uri $status", []),
    ],
)
def test_which_variables_cannot_be_told_apart(text: str, pairs: list[tuple[str, str]]) -> None:
    """Two texts without quotes, or a list, that may hold what stands between them."""
    form = access_format(f"log_format x '{text}';")

    named = [tuple(word[1:] for word in doubt.split() if word[0] == "$") for doubt in form.doubts]

    assert named == pairs


@pytest.mark.parametrize("name", PRESETS)
def test_no_preset_is_ambiguous(name: str) -> None:
    """Each of them says where its values end."""
    assert access_format(name).doubts == ()
