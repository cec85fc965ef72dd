"""What a referrer is: its host, and whether that is a search engine, a social or an own site."""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from typing import Literal, NamedTuple

Kind = Literal["search", "social", "internal", "other"]

HOST_LIMIT = 255

_HOST = re.compile(
    r"""
    [A-Za-z][A-Za-z0-9+.-]*+ ://    # scheme; android-app:// too
    (?: [^/?\#@]*+ @ )?+            # user
    ( \[[^\]/]*+\] | [^/?\#:]*+ )   # host
    """,
    re.VERBOSE,
)

# Search pages of companies with a domain in each country; their mail and maps are no search.
_SEARCH = re.compile(r"(?:www\.)?(?:google|yandex|bing|yahoo)\.(?:com?\.)?[a-z]{2,3}")

#: Each with its subdomains.
SEARCH = frozenset(
    [
        "aol.com",
        "ask.com",
        "baidu.com",
        "com.google.android.googlequicksearchbox",
        "coccoc.com",
        "cn.bing.com",
        "duckduckgo.com",
        "ecosia.org",
        "kagi.com",
        "lilo.org",
        "metager.org",
        "mojeek.com",
        "naver.com",
        "perplexity.ai",
        "qwant.com",
        "search.brave.com",
        "search.yahoo.com",
        "search.yahoo.co.jp",
        "seznam.cz",
        "so.com",
        "sogou.com",
        "startpage.com",
        "swisscows.com",
        "ya.ru",
    ]
)
SOCIAL = frozenset(
    [
        "bsky.app",
        "com.linkedin.android",
        "com.reddit.frontpage",
        "discord.com",
        "facebook.com",
        "fb.com",
        "fb.me",
        "instagram.com",
        "linkedin.com",
        "lnkd.in",
        "mastodon.social",
        "messenger.com",
        "news.ycombinator.com",
        "ok.ru",
        "pinterest.com",
        "pinterest.de",
        "pinterest.co.uk",
        "pinterest.fr",
        "quora.com",
        "reddit.com",
        "snapchat.com",
        "t.co",
        "t.me",
        "telegram.org",
        "threads.com",
        "threads.net",
        "tiktok.com",
        "tumblr.com",
        "twitch.tv",
        "twitter.com",
        "vk.com",
        "weibo.com",
        "whatsapp.com",
        "x.com",
        "xing.com",
        "youtu.be",
        "youtube.com",
    ]
)


class Referrer(NamedTuple):
    """The columns of the table referrer that derive from its text."""

    host: str | None
    kind: Kind


class ReferrerParser:
    """Tells what a referrer is, for a site that knows its own hosts."""

    def __init__(self, site_hosts: AbstractSet[str]) -> None:
        """`site_hosts` are the site's own, in lower case; so are their subdomains."""
        self._site_hosts = site_hosts

    def __call__(self, text: str) -> Referrer:
        """Return host and kind; a text that is no URL has no host."""
        found = _HOST.match(text)
        host = found[1].lower().strip("[]").rstrip(".")[:HOST_LIMIT] if found else ""
        if not host:
            return Referrer(None, "other")
        if _is_among(host, self._site_hosts):
            return Referrer(host, "internal")
        if _SEARCH.fullmatch(host) or _is_among(host, SEARCH):
            return Referrer(host, "search")
        return Referrer(host, "social" if _is_among(host, SOCIAL) else "other")


def _is_among(host: str, hosts: AbstractSet[str]) -> bool:
    """Return whether the host, or a domain above it, is one of these."""
    while host:
        if host in hosts:
            return True
        host = host.partition(".")[2]
    return False
