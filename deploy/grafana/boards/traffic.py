"""The board Traffic: what is my site doing? All of it from clean_log."""

from __future__ import annotations

from typing import LiteralString

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models.common import BigValueGraphMode
from grafana_foundation_sdk.models.dashboard import (
    DynamicConfigValue,
    VariableOption,
    VariableRefresh,
)

from boards.parts import (
    MYSQL,
    Sql,
    board,
    colour_of,
    dashed,
    figure,
    help_with,
    lines,
    listing,
    shares,
    stacked,
    thresholds,
    unit_of,
    warn_at,
)

#: {shown}: the rows that the board is about. The index on time finds them; their streams are looked
#: up afterwards, for a server that begins with the streams reads all of them.
SHOWN = """
    clean_log AS c STRAIGHT_JOIN log_stream AS s ON s.stream_id = c.stream_id
    WHERE $__timeFilter(c.time)
        AND s.source IN ($source) AND s.host IN ($host)
        AND COALESCE(c.status DIV 100, 0) IN ($status)
"""

SUMMARY = """
    SELECT
        COUNT(*) AS "Requests",
        SUM(c.status BETWEEN 500 AND 599) / COUNT(*) AS "Server errors",
        SUM(c.status BETWEEN 400 AND 499) / COUNT(*) AS "Client errors",
        SUM(c.size) AS "Bytes sent",
        COUNT(DISTINCT c.client) AS "Visitors"
    FROM {shown}
"""

NEWEST = """
    SELECT UNIX_TIMESTAMP(MAX(time)) * 1000 AS "Newest request" FROM clean_log
"""

REQUESTS = """
    SELECT
        $__timeGroupAlias(c.time,$__interval,0),
        CASE c.status DIV 100
            WHEN 1 THEN '1xx'
            WHEN 2 THEN '2xx'
            WHEN 3 THEN '3xx'
            WHEN 4 THEN '4xx'
            WHEN 5 THEN '5xx'
            ELSE 'none'
        END AS metric,
        COUNT(*) * 1000.0 / $__interval_ms AS requests
    FROM {shown}
    GROUP BY 1, 2
    ORDER BY 1
"""

ERROR_RATE = """
    SELECT
        $__timeGroupAlias(c.time,$__interval),
        SUM(c.status BETWEEN 500 AND 599) / COUNT(*) AS "server errors",
        SUM(c.status BETWEEN 400 AND 499) / COUNT(*) AS "client errors"
    FROM {shown}
    GROUP BY 1
    ORDER BY 1
"""

VOLUME = """
    SELECT
        $__timeGroupAlias(c.time,$__interval,0),
        SUM(c.size) * 1000.0 / $__interval_ms AS "sent"
    FROM {shown}
    GROUP BY 1
    ORDER BY 1
"""

VISITORS = """
    SELECT
        $__timeGroupAlias(c.time,$__interval,0),
        COUNT(DISTINCT c.client) AS "visitors"
    FROM {shown}
    GROUP BY 1
    ORDER BY 1
"""

TOP_PATHS = """
    SELECT
        c.path AS "Path",
        COUNT(*) AS "Requests",
        SUM(c.status BETWEEN 500 AND 599) / COUNT(*) AS "Server errors",
        SUM(c.size) AS "Bytes"
    FROM {shown} AND c.path IS NOT NULL
    GROUP BY c.path
    ORDER BY 2 DESC
    LIMIT 25
"""

HEAVY_PATHS = """
    SELECT
        c.path AS "Path",
        SUM(c.size) AS "Bytes",
        AVG(c.size) AS "Bytes a request",
        MAX(c.size) AS "Largest answer"
    FROM {shown} AND c.path IS NOT NULL AND c.size > 0
    GROUP BY c.path
    ORDER BY 2 DESC
    LIMIT 25
"""

MISSING = """
    SELECT
        c.path AS "Path",
        COUNT(*) AS "Requests",
        COUNT(DISTINCT c.client) AS "Visitors",
        MAX(c.time) AS "Last"
    FROM {shown} AND c.status = 404
    GROUP BY c.path
    ORDER BY 2 DESC
    LIMIT 25
"""

SLOW_PATHS = """
    SELECT
        c.path AS "Path",
        AVG(c.request_time) AS "Average",
        MAX(c.request_time) AS "Slowest",
        AVG(c.upstream_time) AS "Upstream",
        COUNT(*) AS "Requests"
    FROM {shown} AND c.path IS NOT NULL
    GROUP BY c.path
    ORDER BY 2 DESC, 5 DESC
    LIMIT 25
"""

# Each distinct referrer is looked at once, after its requests were counted. A referrer on the host
# that was asked is the site's own, whatever the settings say.
REFERRERS = """
    SELECT
        COALESCE(r.host, 'not a URL') AS "Host",
        CASE WHEN r.host = g.asked THEN 'internal' ELSE COALESCE(r.kind, 'other') END AS "Kind",
        SUM(g.requests) AS "Requests"
    FROM (
        SELECT c.referrer_id, c.host AS asked, COUNT(*) AS requests
        FROM {shown} AND c.referrer_id IS NOT NULL
        GROUP BY c.referrer_id, c.host
    ) AS g JOIN referrer AS r ON r.referrer_id = g.referrer_id
    GROUP BY 1, 2
    ORDER BY 3 DESC
    LIMIT 25
"""

COUNTRIES = """
    SELECT
        COALESCE(c.country, 'unknown') AS "Country",
        COUNT(*) AS "Requests",
        COUNT(DISTINCT c.client) AS "Visitors",
        SUM(c.size) AS "Bytes"
    FROM {shown}
    GROUP BY 1
    ORDER BY 2 DESC
    LIMIT 25
"""

FILE_TYPES = """
    SELECT COALESCE(c.file_type, 'page') AS "type", COUNT(*) AS requests
    FROM {shown}
    GROUP BY 1
    ORDER BY 2 DESC
    LIMIT 12
"""

CLIENTS = """
    SELECT
        INET6_NTOA(c.client) AS "Address",
        COUNT(*) AS "Requests",
        SUM(c.status BETWEEN 400 AND 499) / COUNT(*) AS "Client errors",
        SUM(c.size) AS "Bytes"
    FROM {shown} AND c.client IS NOT NULL
    GROUP BY c.client
    ORDER BY 2 DESC
    LIMIT 25
"""

#: {agents}: each distinct user agent is looked at once, after its requests were counted.
AGENTS = """
    (
        SELECT c.user_agent_id, COUNT(*) AS requests
        FROM {shown}
        GROUP BY c.user_agent_id
    ) AS g LEFT JOIN user_agent AS a ON a.user_agent_id = g.user_agent_id
"""

WHO = """
    SELECT
        CASE
            WHEN a.user_agent IS NULL OR a.user_agent = '' THEN 'not said'
            WHEN a.is_bot IS NULL THEN 'not looked at yet'
            WHEN a.is_bot THEN 'bots and programs'
            ELSE 'people'
        END AS who,
        SUM(g.requests) AS requests
    FROM {agents}
    GROUP BY 1
    ORDER BY 2 DESC
"""

BOTS = """
    SELECT
        COALESCE(a.browser, LEFT(a.user_agent, 64)) AS "Bot or program",
        SUM(g.requests) AS "Requests"
    FROM {agents}
    WHERE a.is_bot
    GROUP BY 1
    ORDER BY 2 DESC
    LIMIT 25
"""

BROWSERS = """
    SELECT COALESCE(a.browser, 'other') AS "name", SUM(g.requests) AS requests
    FROM {agents}
    WHERE NOT a.is_bot
    GROUP BY 1
    ORDER BY 2 DESC
    LIMIT 12
"""

SYSTEMS = """
    SELECT COALESCE(a.`system`, 'other') AS "name", SUM(g.requests) AS requests
    FROM {agents}
    WHERE NOT a.is_bot
    GROUP BY 1
    ORDER BY 2 DESC
    LIMIT 12
"""

SOURCES = "SELECT DISTINCT source FROM log_stream ORDER BY source"
HOSTS = "SELECT DISTINCT host FROM log_stream WHERE source IN ($source) ORDER BY host"


def _filled(statement: LiteralString) -> LiteralString:
    return statement.replace("{agents}", AGENTS.strip()).replace("{shown}", SHOWN.strip())


def _table(statement: LiteralString) -> Sql:
    return Sql(_filled(statement), "table")


def _over_time(statement: LiteralString) -> Sql:
    return Sql(_filled(statement), "time_series")


RED_ERRORS = [
    DynamicConfigValue(id_val="unit", value="percentunit"),
    DynamicConfigValue(
        id_val="thresholds",
        value={
            "mode": "absolute",
            "steps": [
                {"value": None, "color": "green"},
                {"value": 0.01, "color": "yellow"},
                {"value": 0.05, "color": "red"},
            ],
        },
    ),
]
COLOURED_ERRORS = [
    *RED_ERRORS,
    DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-text"}),
]


def _summary(made: dashboard.Dashboard) -> None:
    made.with_panel(
        figure(
            "At a glance",
            "short",
            "Requests, errors, bytes and visitors of the time shown. A visitor is an address.",
            _table(SUMMARY),
        )
        .graph_mode(BigValueGraphMode.NONE)
        .override_by_name("Server errors", RED_ERRORS)
        .override_by_name("Client errors", unit_of("percentunit"))
        .override_by_name("Bytes sent", unit_of("decbytes"))
        .span(20)
    )
    made.with_panel(
        figure(
            "Newest request",
            "dateTimeFromNow",
            "When the newest request that is stored was made. Old while the site has visitors"
            " means that rows are late.",
            _table(NEWEST),
        )
        .graph_mode(BigValueGraphMode.NONE)
        .links(help_with("IngestionStopped", "ConsumerAway"))
    )


def _graphs(made: dashboard.Dashboard) -> None:
    requests = stacked(
        lines(
            "Requests, by status",
            "reqps",
            "Requests a second, by class of the status.",
            _over_time(REQUESTS),
        )
    )
    for status, colour in (
        ("2xx", "green"),
        ("3xx", "blue"),
        ("4xx", "orange"),
        ("5xx", "red"),
        ("1xx", "purple"),
        ("none", "text"),
    ):
        requests.override_by_name(status, colour_of(colour))
    made.with_panel(requests.interval("10s"))
    made.with_panel(
        dashed(
            lines(
                "Errors",
                "percentunit",
                "Of the requests, the share that the server failed (5xx) and the share that it"
                " refused (4xx).",
                _over_time(ERROR_RATE),
            ),
            warn_at(0.01, 0.05),
        )
        .override_by_name("server errors", colour_of("red"))
        .override_by_name("client errors", colour_of("orange"))
        .interval("10s")
    )
    made.with_panel(
        lines(
            "Bytes sent",
            "Bps",
            "Bytes a second of the answers, headers not counted.",
            _over_time(VOLUME),
        ).interval("10s")
    )
    made.with_panel(
        lines(
            "Visitors",
            "suffix: visitors",
            "Distinct addresses in each step of the graph.",
            _over_time(VISITORS),
        ).interval("1m")
    )


def _tables(made: dashboard.Dashboard) -> None:
    made.with_row(dashboard.Row("What is asked for"))
    made.with_panel(
        listing(
            "Top paths",
            "short",
            "The paths asked for most, with the share of server errors.",
            _table(TOP_PATHS),
        )
        .override_by_name("Server errors", COLOURED_ERRORS)
        .override_by_name("Bytes", unit_of("decbytes"))
    )
    made.with_panel(
        listing(
            "Heaviest paths",
            "decbytes",
            "The paths that cost most bytes.",
            _table(HEAVY_PATHS),
        )
    )
    made.with_panel(
        listing(
            "Not found",
            "short",
            "Paths that were answered with 404: broken links, and what scanners try.",
            _table(MISSING),
        ).override_by_name("Last", unit_of("dateTimeFromNow"))
    )
    made.with_panel(
        listing(
            "Referrers",
            "short",
            "The sites that requests came from: search, social, internal (the own) or other.",
            _table(REFERRERS),
        )
    )
    made.with_panel(
        listing(
            "Slowest paths",
            "s",
            "The paths that take longest, from the first byte of a request to the last of the"
            " answer. Without figures where the log's format has no such time.",
            _table(SLOW_PATHS),
        )
        .override_by_name("Requests", unit_of("short"))
        .span(16)
    )
    made.with_panel(
        shares(
            "File types",
            "short",
            "Requests by the type of the file that the path names; a page is a path without one.",
            _table(FILE_TYPES),
        )
    )


def _people(made: dashboard.Dashboard) -> None:
    made.with_row(dashboard.Row("Who asks"))
    made.with_panel(
        listing(
            "Countries",
            "short",
            "Where the addresses are; unknown are those of no country, such as private networks.",
            _table(COUNTRIES),
        ).override_by_name("Bytes", unit_of("decbytes"))
    )
    made.with_panel(
        listing(
            "Bots and programs",
            "short",
            "Crawlers, scripts and scanners by name, as far as the user agent says.",
            _table(BOTS),
        )
    )
    for title, description, statement in (
        ("Bots and people", "Requests by who sent them, as far as the user agent says.", WHO),
        ("Browsers", "Requests by browser, bots and programs left out.", BROWSERS),
        ("Systems", "Requests by operating system, bots and programs left out.", SYSTEMS),
    ):
        made.with_panel(shares(title, "short", description, _table(statement)))
    made.with_panel(
        listing(
            "Busiest addresses",
            "short",
            "The addresses that ask most. Many client errors are a scanner, or a broken client.",
            _table(CLIENTS),
        )
        .override_by_name("Client errors", unit_of("percentunit"))
        .override_by_name("Bytes", unit_of("decbytes"))
        .thresholds(thresholds())
        .span(24)
    )


def _choice(
    name: str, label: str, description: str, statement: str, every: str
) -> dashboard.QueryVariable:
    """Return a variable; All is the column `every` itself, so that it holds with no stream yet."""
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .description(description)
        .datasource(MYSQL)
        .query(statement)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .all_value(every)
        .current(VariableOption(text="All", value="$__all"))
    )


def build() -> dashboard.Dashboard:
    """Return the board."""
    made = (
        board("Traffic", "datastream-traffic", "What is my site doing?")
        .time("now-1h", "now")
        .refresh("30s")
        .with_variable(
            _choice("source", "Source", "The name a log is known by.", SOURCES, "source")
        )
        .with_variable(
            _choice("host", "Web server", "The machine that wrote the log.", HOSTS, "s.host")
        )
        .with_variable(
            dashboard.CustomVariable("status")
            .label("Status")
            .description("Class of the status; none is a line without one.")
            .values("2xx : 2,3xx : 3,4xx : 4,5xx : 5,1xx : 1,none : 0")
            .multi(True)
            .include_all(True)
            .current(VariableOption(text="All", value="$__all"))
        )
    )
    for part in (_summary, _graphs, _tables, _people):
        part(made)
    return made
