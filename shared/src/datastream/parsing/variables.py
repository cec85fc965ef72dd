"""The variables of nginx: what each one's values are, and which column they go to."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType


class Kind(Enum):
    """What the values of a variable are. A value of another kind is kept as text."""

    #: Any text; it may hold any character.
    TEXT = "text"
    #: A text that never holds a space.
    WORD = "word"
    #: All that follows, to the end of the line, quotes included.
    REST = "rest"
    #: What HAProxy captured of a request and its response, `{a|b} {c}` or `"a" "b" "c"`.
    CAPTURES = "captures"
    #: The request line.
    REQUEST = "request"
    #: `10/Oct/2000:13:55:36 -0700`.
    TIME_LOCAL = "local time"
    #: `2000-10-10T13:55:36-07:00`.
    TIME_ISO = "ISO time"
    #: `10/Oct/2000:13:55:36`, with a fraction or without: not nginx's.
    TIME_NO_ZONE = "local time without a zone"
    #: `Tue Oct 10 13:55:36 2000`, as C's ctime() writes it: not nginx's.
    TIME_C = "time of C, without a zone"
    #: `2000-10-10 13:55:36 -0700`: not nginx's.
    TIME_SPACED = "ISO time with spaces"
    #: Seconds since the epoch, `971211336.123`.
    TIME_SECONDS = "epoch seconds"
    #: A whole number up to 2^63-1.
    INTEGER = "integer"
    #: A number with a fraction: seconds, a ratio.
    DECIMAL = "number"
    #: Values joined by commas: the addresses of X-Forwarded-For.
    CHAIN = "list of texts"
    #: A value for each upstream server that was tried, joined by `, ` and ` : `.
    TEXTS = "upstream list of texts"
    INTEGERS = "upstream list of integers"
    DECIMALS = "upstream list of numbers"


_KINDS: dict[Kind, str] = {
    Kind.TEXT: """
        args query_string uri document_uri request_uri remote_user request_body request_body_file
        request_filename document_root realpath_root content_type http_host ssl_server_name
        ssl_cipher ssl_ciphers ssl_client_cert ssl_client_escaped_cert ssl_client_i_dn
        ssl_client_i_dn_legacy ssl_client_raw_cert ssl_client_s_dn ssl_client_s_dn_legacy
        ssl_client_v_end ssl_client_v_start ssl_client_verify binary_remote_addr
        ssl_ech_outer_server_name ssl_preread_server_name ssl_preread_alpn_protocols
        upstream_cache_etag upstream_cache_last_modified proxy_add_via fastcgi_path_info
        fastcgi_script_name memcached_key secure_link uid_reset date_gmt date_local ancient_browser
        modern_browser geoip_city geoip_city_country_name geoip_country_name geoip_org
        geoip_postal_code geoip_region_name
        """,
    Kind.WORD: """
        remote_addr realip_remote_addr server_addr the_real_ip
        proxy_protocol_addr proxy_protocol_server_addr
        host server_name hostname proxy_host session request_method request_completion request_id
        server_protocol scheme https is_args pipe nginx_version limit_req_status limit_conn_status
        ssl_protocol ssl_curve ssl_curves ssl_client_fingerprint ssl_client_serial ssl_client_sigalg
        ssl_sigalg ssl_early_data ssl_session_id ssl_session_reused ssl_alpn_protocol ssl_ech_status
        is_request_port ssl_sigalgs ssl_preread_protocol upstream_cache_status
        upstream_last_server_name proxy_internal_chunked grpc_internal_trailers protocol http2 http3
        slice_range invalid_referer msie uid_got uid_set geoip_city_continent_code
        geoip_city_country_code geoip_city_country_code3 geoip_country_code geoip_country_code3
        geoip_latitude geoip_longitude geoip_region
        squid_result squid_hierarchy squid_server squid_type haproxy_frontend haproxy_backend
        haproxy_server haproxy_request_cookie haproxy_response_cookie haproxy_state
        haproxy_connections haproxy_queues remote_peer
        """,
    Kind.REST: "rest",
    Kind.CAPTURES: "haproxy_captures",
    Kind.REQUEST: "request",
    Kind.TIME_LOCAL: "time_local",
    Kind.TIME_ISO: "time_iso8601",
    Kind.TIME_SPACED: "time_spaced",
    Kind.TIME_NO_ZONE: "time_no_zone",
    Kind.TIME_C: "time_c",
    Kind.TIME_SECONDS: "msec",
    Kind.INTEGER: """
        status body_bytes_sent bytes_sent request_length content_length connection
        connection_requests remote_port realip_remote_port server_port proxy_port
        proxy_protocol_port proxy_protocol_server_port pid limit_rate ssl_client_v_remain
        connections_active connections_reading connections_writing connections_waiting tcpinfo_rtt
        tcpinfo_rttvar tcpinfo_snd_cwnd tcpinfo_rcv_space request_port bytes_received
        proxy_internal_body_length secure_link_expires geoip_area_code geoip_dma_code
        haproxy_request_ms haproxy_queue_ms haproxy_connect_ms haproxy_response_ms
        """,
    Kind.DECIMAL: """
        request_time request_milliseconds request_nanoseconds connection_time session_time
        gzip_ratio
        """,
    Kind.CHAIN: "http_x_forwarded_for proxy_add_x_forwarded_for",
    Kind.TEXTS: "upstream_addr",
    Kind.INTEGERS: """
        upstream_status upstream_response_length upstream_bytes_received upstream_bytes_sent
        """,
    Kind.DECIMALS: """
        upstream_response_time upstream_connect_time upstream_header_time upstream_queue_time
        upstream_first_byte_time upstream_session_time
        """,
}

#: The variables of nginx's modules and some that are often logged beside them. A header, cookie,
#: argument or trailer, a variable of a map and all others are text.
KINDS: Mapping[str, Kind] = MappingProxyType(
    {name: kind for kind, names in _KINDS.items() for name in names.split()}
)


#: The variables whose values are hardly ever empty, in the logs of any server.
NEVER_EMPTY = frozenset({"remote_addr", "session"})

#: The numbers that nginx may write nothing at all for: of a socket, of a host without a port.
MAY_BE_EMPTY = frozenset(
    {"request_port", "remote_port", "realip_remote_port", "server_port", "proxy_port"}
)

#: The numbers that nginx always has.
NEVER_ABSENT = frozenset(
    {"status", "bytes_sent", "request_length", "request_time", "connection", "connection_requests"}
)


def kind_of(variable: str) -> Kind:
    """Return what a variable's values are; any text for a variable that is not known."""
    return KINDS.get(variable, Kind.TEXT)


#: The times that nginx writes.
NGINX_TIMES = ("msec", "time_iso8601", "time_local")

#: How many of each make a second; nginx writes the first only.
UNITS: Mapping[str, int] = MappingProxyType(
    {"request_time": 1, "request_milliseconds": 1000, "request_nanoseconds": 10**9}
)

#: Which column a variable fills. Where several are in a format, the first one listed here does;
#: the others are in `extra` under their own names, as is every variable that has no column.
COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "time": (*NGINX_TIMES, "time_spaced", "time_no_zone", "time_c"),
        # First what no client can write; then what a proxy writes over, or adds to, of what it got.
        "client": (
            *("remote_addr", "the_real_ip", "proxy_protocol_addr", "proxy_add_x_forwarded_for"),
            *("realip_remote_addr", "http_cf_connecting_ip", "http_true_client_ip"),
            *("http_x_real_ip", "http_x_forwarded_for", "remote_peer"),
        ),
        "session": ("session",),
        "user": ("remote_user",),
        "request": ("request",),
        "method": ("request_method",),
        "url": ("request_uri",),
        "path": ("uri", "document_uri"),
        "query": ("args", "query_string"),
        "scheme": ("scheme",),
        "host": ("host", "http_host", "server_name"),
        "http_version": ("server_protocol",),
        "status": ("status",),
        "size": ("body_bytes_sent", "bytes_sent"),
        "request_time": tuple(UNITS),
        "upstream_time": ("upstream_response_time",),
        "referrer": ("http_referer",),
        "user_agent": ("http_user_agent",),
    }
)
