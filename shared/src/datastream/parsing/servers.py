"""The logs of other servers, and of programs that nginx is part of: their formats, or why not."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from datastream.parsing.event import Event

_REQUEST = '"$request" $status $body_bytes_sent'
_REFERRER_AND_AGENT = '"$http_referer" "$http_user_agent"'
_NGINX = f"$remote_user [$time_local] {_REQUEST} {_REFERRER_AND_AGENT}"
_INGRESS = (
    f"$remote_addr - [$the_real_ip] - {_NGINX} $request_length $request_time [$proxy_upstream_name]"
)
_UPSTREAM = (
    "$upstream_addr $upstream_response_length $upstream_response_time $upstream_status $req_id"
)
_MANAGED = (
    '$status - $request_method $scheme $host "$request_uri" [Client $remote_addr] '
    "[Length $body_bytes_sent] [Gzip $gzip_ratio]"
)
_AGENT_AND_REFERRER = '"$http_user_agent" "$http_referer"'
_SQUID = '$remote_addr $session $remote_user [$time_local] "$request" $status $bytes_sent'
_SQUID_END = "$squid_result:$squid_hierarchy"

#: What programs that nginx is part of write, as PRESETS of formats.py has them.
BUNDLES: Mapping[str, str] = MappingProxyType(
    {
        "host_main": f'$host $remote_addr - {_NGINX} "$http_x_forwarded_for"',
        "nginx_proxy": f'$host $remote_addr - {_NGINX} "$upstream_addr"',
        "nginx_proxy_manager": (
            f"[$time_local] $upstream_cache_status $upstream_status {_MANAGED} [Sent-to $server] "
            f"{_AGENT_AND_REFERRER}"
        ),
        "nginx_proxy_manager_standard": f"[$time_local] {_MANAGED} {_AGENT_AND_REFERRER}",
        "upstreaminfo_real_ip": f"{_INGRESS} {_UPSTREAM}",
        "upstreaminfo_real_ip_alternative": (
            f"{_INGRESS} [$proxy_alternative_upstream_name] {_UPSTREAM}"
        ),
        "bunkerweb": f"$host $remote_addr - $request_id {_NGINX}",
    }
)

#: The default access log of each other server, in the same way. The versions that were looked at
#: are in docs/formats.md, and lines that they wrote in tests/data/servers.
SERVERS: Mapping[str, str] = MappingProxyType(
    {
        "lighttpd": f"$remote_addr $host {_NGINX}",
        "aiohttp": (
            f'$remote_addr [$time_local] "$request" $status $bytes_sent {_REFERRER_AND_AGENT}'
        ),
        "cherrypy": (
            f"$remote_addr $session $remote_user [$time_no_zone] {_REQUEST} {_REFERRER_AND_AGENT}"
        ),
        "daphne": (
            "$remote_peer $session $remote_user [$time_no_zone] "
            '"$request_method $request_uri" $status $body_bytes_sent'
        ),
        "granian": (
            '[$time_spaced] $remote_addr - "$request_method $uri $server_protocol" $status '
            "$request_milliseconds"
        ),
        "hypercorn": (
            "[$logger_time] [$pid] [$logger_level] $remote_peer $session $remote_user "
            '[$time_local] "$request_method $uri $server_protocol" $status $body_bytes_sent '
            f"{_REFERRER_AND_AGENT}"
        ),
        "uwsgi": (
            "log_format uwsgi escape=none '[pid: $pid|app: $uwsgi_app|req: $uwsgi_requests] "
            "$remote_addr ($remote_user) {$uwsgi_variables} [$time_c] $request_method $request_uri "
            "=> generated $body_bytes_sent bytes in $request_milliseconds msecs ${uwsgi_via}"
            "($server_protocol $status) $uwsgi_headers ($uwsgi_switches)';"
        ),
        "haproxy_http": (
            "log_format haproxy_http escape=haproxy '$remote_addr:$remote_port [$time_no_zone] "
            "$haproxy_frontend $haproxy_backend/$haproxy_server $haproxy_request_ms/"
            "$haproxy_queue_ms/$haproxy_connect_ms/$haproxy_response_ms/$request_milliseconds "
            "$status $bytes_sent $haproxy_request_cookie $haproxy_response_cookie $haproxy_state "
            '$haproxy_connections $haproxy_queues ${haproxy_captures}"$request"\';'
        ),
        "haproxy_clf": (
            'log_format haproxy_clf escape=haproxy \'$remote_addr - - [$time_local] "$request" '
            '$status $bytes_sent "" "" $remote_port $haproxy_milliseconds "$haproxy_frontend" '
            '"$haproxy_backend" "$haproxy_server" $haproxy_request_ms $haproxy_queue_ms '
            "$haproxy_connect_ms $haproxy_response_ms $request_milliseconds $haproxy_state "
            '$haproxy_counts "$haproxy_request_cookie" "$haproxy_response_cookie"'
            "$haproxy_captures';"
        ),
        "squid": (
            "$msec $request_milliseconds $remote_addr $squid_result/$status $bytes_sent "
            "$request_method $request_uri $remote_user $squid_hierarchy/$squid_server "
            "$squid_type"
        ),
        "squid_combined": f"{_SQUID} {_REFERRER_AND_AGENT} {_SQUID_END}",
        "squid_common": f"{_SQUID} {_SQUID_END}",
        "caddy": (
            'log_format caddy escape=json \'{"ts":$msec,"request":{"client_ip":"$remote_addr",'
            '"remote_ip":"$remote_addr","remote_port":"$remote_port","proto":"$server_protocol",'
            '"method":"$request_method","host":"$http_host","uri":"$request_uri","headers":'
            '{"Referer":["$http_referer"],"User-Agent":["$http_user_agent"]}},'
            '"user_id":"$remote_user","duration":$request_time,"size":$body_bytes_sent,'
            '"status":$status}\';'
        ),
        "traefik": (
            'log_format traefik escape=json \'{"ClientHost":"$remote_addr",'
            '"ClientPort":"$remote_port","ClientUsername":"$remote_user",'
            '"DownstreamContentSize":$body_bytes_sent,"DownstreamStatus":$status,'
            '"Duration":$request_nanoseconds,"OriginStatus":$upstream_status,'
            '"RequestHost":"$host","RequestMethod":"$request_method",'
            '"RequestPath":"$request_uri","RequestProtocol":"$server_protocol",'
            '"RequestScheme":"$scheme","RouterName":"$traefik_router",'
            '"ServiceAddr":"$upstream_addr","StartUTC":"$time_iso8601",'
            '"request_Referer":"$http_referer","request_User-Agent":"$http_user_agent",'
            '"time":"$time_iso8601"}\';'
        ),
    }
)


class Refused(NamedTuple):
    """A server whose lines cannot become rows."""

    #: Found at the start of its lines.
    pattern: re.Pattern[bytes]
    #: Why not, and what to do.
    message: str


#: By name.
REFUSED: Mapping[str, Refused] = MappingProxyType(
    {
        "uvicorn": Refused(
            re.compile(rb'[A-Z]+:\s+\S+ - "[^"]+ HTTP/[0-9.]+" [0-9]{3}\b'),
            "uvicorn writes no time in its access log, and a row needs one: give it a log "
            "configuration (--log-config) whose access formatter has the datefmt "
            "%d/%b/%Y:%H:%M:%S %z and begins with [%(asctime)s] %(client_addr)s, and name what it "
            "writes then: '[$time_local] $remote_addr - \"$request\" $status $rest'; or read the "
            "log of the proxy in front of it",
        ),
        "tornado": Refused(
            re.compile(rb"(?:\x1b\[[0-9;]*m)?\[[DIWEC] [0-9]{6} [0-9:]{8} web:[0-9]+\]"),
            "tornado's access log has a year of two digits, and no size, version, referrer or "
            "agent: set the log_function of its Application to one that writes a format known "
            "here, or read the log of the proxy in front of it",
        ),
        "morgan": Refused(
            re.compile(
                rb"""
                  [^"\[]*[ ][0-9-]{1,3}[ ](?:[0-9]+|-)[ ]-[ ](?:[0-9.]+|-)[ ]ms \r?\Z  # tiny, short
                | \x1b\[0m [A-Z-]+ [ ] \S+ [ ] \x1b\[[0-9]+m                          # dev
                """,
                re.VERBOSE,
            ),
            "morgan's formats tiny, short and dev write no time, and a row needs one: let it "
            "write its format combined",
        ),
    }
)


def refused(lines: Sequence[bytes]) -> str | None:
    """Return the name of the server that wrote more than half of the lines, if it is one of these.

    Its message is in REFUSED.
    """
    for name, server in REFUSED.items():
        if sum(server.pattern.match(line) is not None for line in lines) * 2 > len(lines):
            return name
    return None


#: What tells the lines of a format from those of another one that they fit as well.
_ADDRESS_AND_PORT = re.compile(r"unix:.*|(?:[^:]*|\[.*\]):[0-9]{1,5}", re.DOTALL)
_SITE = re.compile(
    r"""
    (?: localhost
      | [0-9.]+\.[0-9.]+
      | \[[0-9A-Fa-f:.]+\]
      | (?:[0-9A-Za-z_-]+\.)+[A-Za-z][0-9A-Za-z-]*
    )
    (?: :[0-9]+ )?
    """,
    re.VERBOSE | re.IGNORECASE,
)
_RESULT = re.compile(r"[A-Z_]+")
_REQUEST_ID = re.compile(r"[0-9a-f]{32}")


def is_site_name(word: str) -> bool:
    """Return whether a word is a site's name: it has a dot in it, and maybe a port behind it."""
    return _SITE.fullmatch(word) is not None


def _has_host(_event: Event, line: bytes) -> bool:
    return is_site_name(line.split(b" ", 2)[1].decode(errors="replace"))


def _has_request(event: Event, _line: bytes) -> bool:
    """Return whether an object has the request that others do not have at that key."""
    return None not in (event.client, event.method, event.url, event.status)


def _has_result(event: Event, _line: bytes) -> bool:
    return _RESULT.fullmatch(str(_extra(event, "squid_result"))) is not None


def _has_request_id(event: Event, _line: bytes) -> bool:
    return _REQUEST_ID.fullmatch(str(_extra(event, "request_id"))) is not None


def _has_no_real_ip(event: Event, _line: bytes) -> bool:
    return event.user is None or not event.user.startswith("[")


def _has_no_alternative(event: Event, _line: bytes) -> bool:
    return "]" not in str(_extra(event, "proxy_upstream_name"))


def _ends_with_upstream(event: Event, _line: bytes) -> bool:
    return _is_address_and_port(_extra(event, "upstream_addr"))


def _ends_with_client(event: Event, _line: bytes) -> bool:
    return not _is_address_and_port(_extra(event, "http_x_forwarded_for"))


def _extra(event: Event, name: str) -> object:
    """Return a variable that has no column; of a list its last item, None if it is not there."""
    value = (event.extra or {}).get(name)
    return value[-1] if isinstance(value, list) and value else value


def _is_address_and_port(value: object) -> bool:
    return isinstance(value, str) and _ADDRESS_AND_PORT.fullmatch(value) is not None


#: By format: whether an event and its line show that they are of it.
_MARKS: Mapping[str, Callable[[Event, bytes], bool]] = MappingProxyType(
    {
        "bunkerweb": _has_request_id,
        "caddy": _has_request,
        "host_main": _ends_with_client,
        "lighttpd": _has_host,
        "nginx_proxy": _ends_with_upstream,
        "squid_combined": _has_result,
        "squid_common": _has_result,
        "traefik": _has_request,
        "upstreaminfo": _has_no_real_ip,
        "upstreaminfo_real_ip": _has_no_alternative,
    }
)


def bears_mark(name: str, event: Event, line: bytes) -> bool:
    """Return whether a line that fits a format bears its mark; true where the format has none."""
    mark = _MARKS.get(name)
    return mark is None or mark(event, line)
