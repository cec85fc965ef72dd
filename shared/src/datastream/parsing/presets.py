"""The formats that have a name here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_COMMON = '$remote_addr $session $remote_user [$time_local] "$request" $status $body_bytes_sent'
_MAIN = _COMMON.replace("$session", "-")
_REFERRER_AND_AGENT = '"$http_referer" "$http_user_agent"'

#: The text of each format, as in a log_format. `$session` is the ident field of Apache, which nginx
#: writes as a dash.
PRESETS: Mapping[str, str] = MappingProxyType(
    {
        "combined": f"{_COMMON} {_REFERRER_AND_AGENT}",
        "common": _COMMON,
        "main": f'{_MAIN} {_REFERRER_AND_AGENT} "$http_x_forwarded_for"',
        "upstreaminfo": (
            f"{_MAIN} {_REFERRER_AND_AGENT} $request_length $request_time "
            "[$proxy_upstream_name] [$proxy_alternative_upstream_name] $upstream_addr "
            "$upstream_response_length $upstream_response_time $upstream_status $req_id"
        ),
        "vhost_combined": f"$server_name:$server_port {_COMMON} {_REFERRER_AND_AGENT}",
        "proxy": f"{_COMMON} -",
        "host_combined": f"$server_name {_COMMON} {_REFERRER_AND_AGENT}",
        "combined_plus": f"{_COMMON} {_REFERRER_AND_AGENT} $rest",
        "common_plus": f"{_COMMON} $rest",
    }
)

#: Formats that lines of others fit too: with a word in the wrong place, or with fields in the rest.
LAST_RESORTS = ("host_combined", "combined_plus", "common_plus")
