"""What a referrer is: its host, and what kind of site."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clean_consumer.referrers import HOST_LIMIT, ReferrerParser

parse = ReferrerParser(frozenset({"example.com"}))


@pytest.mark.parametrize(
    ("text", "host", "kind"),
    [
        ("https://www.google.com/", "www.google.com", "search"),
        ("https://www.google.co.uk/search?q=a", "www.google.co.uk", "search"),
        ("https://google.fr", "google.fr", "search"),
        ("https://duckduckgo.com/?q=a", "duckduckgo.com", "search"),
        (
            "android-app://com.google.android.googlequicksearchbox/",
            "com.google.android.googlequicksearchbox",
            "search",
        ),
        ("https://mail.google.com/", "mail.google.com", "other"),
        ("https://google.com.example.org/", "google.com.example.org", "other"),
        ("https://l.facebook.com/l.php?u=a", "l.facebook.com", "social"),
        ("https://T.co/abc", "t.co", "social"),
        ("https://notfacebook.com/", "notfacebook.com", "other"),
        ("https://www.example.com/cart", "www.example.com", "internal"),
        ("http://example.com:8080/", "example.com", "internal"),
        ("http://user@example.com./?x", "example.com", "internal"),
        ("https://example.org/", "example.org", "other"),
        ("http://[2001:DB8::1]:80/a", "2001:db8::1", "other"),
        ("", None, "other"),
        ("/cart", None, "other"),
        ("https:///nothing", None, "other"),
        ("about:blank", None, "other"),
    ],
)
def test_host_and_kind(text: str, host: str | None, kind: str) -> None:
    """A host is known with all that is below it, and search engines by their pages of search."""
    assert parse(text) == (host, kind)


def test_without_own_hosts_nothing_is_internal() -> None:
    """Which hosts are the site's is for the settings to say."""
    assert ReferrerParser(frozenset())("https://example.com/").kind == "other"


@given(st.text() | st.text().map("http://{}".format))
def test_any_text_gives_columns_that_fit(text: str) -> None:
    """Whatever a client sends, the host keeps to its column."""
    host, kind = parse(text)

    assert host is None or 0 < len(host) <= HOST_LIMIT
    assert kind in ("search", "social", "internal", "other")
