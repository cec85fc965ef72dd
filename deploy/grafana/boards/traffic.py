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

REFERRERS = """
    SELECT
        SUBSTRING_INDEX(SUBSTRING_INDEX(c.referrer, '?', 1), '#', 1) AS "Referrer",
        COUNT(*) AS "Requests",
        COUNT(DISTINCT c.client) AS "Visitors"
    FROM {shown} AND c.referrer <> ''
    GROUP BY 1
    ORDER BY 2 DESC
    LIMIT 25
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

#: {program}: what a program's user agent has in it, in lower case.
PROGRAM = (
    "'bot|crawl|spider|slurp|curl|wget|python|go-http|java/|okhttp|scan|zgrab|nmap|monitor|probe'"
)

WHO = """
    SELECT
        CASE
            WHEN a.user_agent IS NULL OR a.user_agent = '' THEN 'not said'
            WHEN LOWER(a.user_agent) REGEXP {program} THEN 'bots and programs'
            ELSE 'people'
        END AS who,
        SUM(g.requests) AS requests
    FROM {agents}
    GROUP BY 1
    ORDER BY 2 DESC
"""

# The order matters: most browsers name the ones they descend from.
BROWSERS = """
    SELECT
        CASE
            WHEN a.user_agent LIKE '%Edg%' THEN 'Edge'
            WHEN a.user_agent LIKE '%OPR/%' THEN 'Opera'
            WHEN a.user_agent LIKE '%SamsungBrowser%' THEN 'Samsung Internet'
            WHEN a.user_agent LIKE '%Firefox/%' OR a.user_agent LIKE '%FxiOS%' THEN 'Firefox'
            WHEN a.user_agent LIKE '%Chrome/%' OR a.user_agent LIKE '%CriOS%' THEN 'Chrome'
            WHEN a.user_agent LIKE '%Safari/%' THEN 'Safari'
            WHEN a.user_agent LIKE '%Trident/%' THEN 'Internet Explorer'
            ELSE 'other'
        END AS browser,
        SUM(g.requests) AS requests
    FROM {agents}
    WHERE NOT LOWER(a.user_agent) REGEXP {program}
    GROUP BY 1
    ORDER BY 2 DESC
"""

SYSTEMS = """
    SELECT
        CASE
            WHEN a.user_agent LIKE '%Android%' THEN 'Android'
            WHEN a.user_agent LIKE '%iPhone%' OR a.user_agent LIKE '%iPad%' THEN 'iOS'
            WHEN a.user_agent LIKE '%Windows%' THEN 'Windows'
            WHEN a.user_agent LIKE '%Mac OS X%' THEN 'macOS'
            WHEN a.user_agent LIKE '%CrOS%' THEN 'ChromeOS'
            WHEN a.user_agent LIKE '%Linux%' THEN 'Linux'
            ELSE 'other'
        END AS `system`,
        SUM(g.requests) AS requests
    FROM {agents}
    WHERE NOT LOWER(a.user_agent) REGEXP {program}
    GROUP BY 1
    ORDER BY 2 DESC
"""

SOURCES = "SELECT DISTINCT source FROM log_stream ORDER BY source"
HOSTS = "SELECT DISTINCT host FROM log_stream WHERE source IN ($source) ORDER BY host"


def _filled(statement: LiteralString) -> LiteralString:
    return (
        statement.replace("{agents}", AGENTS.strip())
        .replace("{shown}", SHOWN.strip())
        .replace("{program}", PROGRAM)
    )


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
            "Where requests came from, without query.",
            _table(REFERRERS),
        )
    )


def _people(made: dashboard.Dashboard) -> None:
    made.with_row(dashboard.Row("Who asks"))
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


def _choice(name: str, label: str, description: str, statement: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .description(description)
        .datasource(MYSQL)
        .query(statement)
        .refresh(VariableRefresh.ON_DASHBOARD_LOAD)
        .multi(True)
        .include_all(True)
        .current(VariableOption(text="All", value="$__all"))
    )


def build() -> dashboard.Dashboard:
    """Return the board."""
    made = (
        board("Traffic", "datastream-traffic", "What is my site doing?")
        .time("now-1h", "now")
        .refresh("30s")
        .with_variable(_choice("source", "Source", "The name a log is known by.", SOURCES))
        .with_variable(_choice("host", "Web server", "The machine that wrote the log.", HOSTS))
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
