"""The board Traffic: what is my site doing? All of it from clean_log."""

from __future__ import annotations

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

#: The rows that the board is about: the index on time finds them.
SHOWN = """
    $__timeFilter(c.time)
    AND c.stream_id IN (SELECT stream_id FROM log_stream WHERE source IN ($source) AND host IN ($host))
    AND COALESCE(c.status DIV 100, 0) IN ($status)
"""

SUMMARY = f"""
    SELECT
        COUNT(*) AS "Requests",
        SUM(c.status BETWEEN 500 AND 599) / COUNT(*) AS "Server errors",
        SUM(c.status BETWEEN 400 AND 499) / COUNT(*) AS "Client errors",
        SUM(c.size) AS "Bytes sent",
        COUNT(DISTINCT c.client) AS "Visitors"
    FROM clean_log AS c
    WHERE {SHOWN}
"""

NEWEST = """
    SELECT UNIX_TIMESTAMP(MAX(time)) * 1000 AS "Newest request" FROM clean_log
"""

REQUESTS = f"""
    SELECT
        $__timeGroupAlias(c.time,$__interval,0),
        CASE c.status DIV 100
            WHEN 1 THEN '1xx' WHEN 2 THEN '2xx' WHEN 3 THEN '3xx' WHEN 4 THEN '4xx' WHEN 5 THEN '5xx'
            ELSE 'none'
        END AS metric,
        COUNT(*) * 1000.0 / $__interval_ms AS requests
    FROM clean_log AS c
    WHERE {SHOWN}
    GROUP BY 1, 2
    ORDER BY 1
"""

ERROR_RATE = f"""
    SELECT
        $__timeGroupAlias(c.time,$__interval),
        SUM(c.status BETWEEN 500 AND 599) / COUNT(*) AS "server errors",
        SUM(c.status BETWEEN 400 AND 499) / COUNT(*) AS "client errors"
    FROM clean_log AS c
    WHERE {SHOWN}
    GROUP BY 1
    ORDER BY 1
"""

VOLUME = f"""
    SELECT
        $__timeGroupAlias(c.time,$__interval,0),
        SUM(c.size) * 1000.0 / $__interval_ms AS "sent"
    FROM clean_log AS c
    WHERE {SHOWN}
    GROUP BY 1
    ORDER BY 1
"""

VISITORS = f"""
    SELECT
        $__timeGroupAlias(c.time,$__interval,0),
        COUNT(DISTINCT c.client) AS "visitors"
    FROM clean_log AS c
    WHERE {SHOWN}
    GROUP BY 1
    ORDER BY 1
"""

TOP_PATHS = f"""
    SELECT
        c.path AS "Path",
        COUNT(*) AS "Requests",
        SUM(c.status BETWEEN 500 AND 599) / COUNT(*) AS "Server errors",
        SUM(c.size) AS "Bytes"
    FROM clean_log AS c
    WHERE {SHOWN} AND c.path IS NOT NULL
    GROUP BY c.path
    ORDER BY 2 DESC
    LIMIT 25
"""

HEAVY_PATHS = f"""
    SELECT
        c.path AS "Path",
        SUM(c.size) AS "Bytes",
        AVG(c.size) AS "Bytes a request",
        MAX(c.size) AS "Largest answer"
    FROM clean_log AS c
    WHERE {SHOWN} AND c.path IS NOT NULL AND c.size > 0
    GROUP BY c.path
    ORDER BY 2 DESC
    LIMIT 25
"""

MISSING = f"""
    SELECT
        c.path AS "Path",
        COUNT(*) AS "Requests",
        COUNT(DISTINCT c.client) AS "Visitors",
        MAX(c.time) AS "Last"
    FROM clean_log AS c
    WHERE {SHOWN} AND c.status = 404
    GROUP BY c.path
    ORDER BY 2 DESC
    LIMIT 25
"""

REFERRERS = f"""
    SELECT
        SUBSTRING_INDEX(SUBSTRING_INDEX(c.referrer, '?', 1), '#', 1) AS "Referrer",
        COUNT(*) AS "Requests",
        COUNT(DISTINCT c.client) AS "Visitors"
    FROM clean_log AS c
    WHERE {SHOWN} AND c.referrer <> ''
    GROUP BY 1
    ORDER BY 2 DESC
    LIMIT 25
"""

CLIENTS = f"""
    SELECT
        INET6_NTOA(c.client) AS "Address",
        COUNT(*) AS "Requests",
        SUM(c.status BETWEEN 400 AND 499) / COUNT(*) AS "Client errors",
        SUM(c.size) AS "Bytes"
    FROM clean_log AS c
    WHERE {SHOWN} AND c.client IS NOT NULL
    GROUP BY c.client
    ORDER BY 2 DESC
    LIMIT 25
"""

#: Each distinct user agent is looked at once, after its requests were counted.
AGENTS = f"""
    (
        SELECT c.user_agent_id, COUNT(*) AS requests
        FROM clean_log AS c
        WHERE {SHOWN}
        GROUP BY c.user_agent_id
    ) AS g LEFT JOIN user_agent AS a ON a.user_agent_id = g.user_agent_id
"""

IS_A_PROGRAM = (
    "'bot|crawl|spider|slurp|curl|wget|python|go-http|java/|okhttp|scan|zgrab|nmap|monitor|probe'"
)

WHO = f"""
    SELECT
        CASE
            WHEN a.user_agent IS NULL OR a.user_agent = '' THEN 'not said'
            WHEN LOWER(a.user_agent) REGEXP {IS_A_PROGRAM} THEN 'bots and programs'
            ELSE 'people'
        END AS who,
        SUM(g.requests) AS requests
    FROM {AGENTS}
    GROUP BY 1
    ORDER BY 2 DESC
"""

# The order matters: most browsers name the ones they descend from.
BROWSERS = f"""
    SELECT
        CASE
            WHEN a.user_agent LIKE '%Edg%' THEN 'Edge'
            WHEN a.user_agent LIKE '%OPR/%' THEN 'Opera'
            WHEN a.user_agent LIKE '%SamsungBrowser%' THEN 'Samsung Internet'
            WHEN a.user_agent LIKE '%Firefox/%' OR a.user_agent LIKE '%FxiOS%' THEN 'Firefox'
            WHEN a.user_agent LIKE '%Chrome/%' OR a.user_agent LIKE '%CriOS%' THEN 'Chrome'
            WHEN a.user_agent LIKE '%Safari/%' THEN 'Safari'
            WHEN a.user_agent LIKE '%Trident/%' OR a.user_agent LIKE '%MSIE%' THEN 'Internet Explorer'
            ELSE 'other'
        END AS browser,
        SUM(g.requests) AS requests
    FROM {AGENTS}
    WHERE NOT LOWER(a.user_agent) REGEXP {IS_A_PROGRAM}
    GROUP BY 1
    ORDER BY 2 DESC
"""

SYSTEMS = f"""
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
    FROM {AGENTS}
    WHERE NOT LOWER(a.user_agent) REGEXP {IS_A_PROGRAM}
    GROUP BY 1
    ORDER BY 2 DESC
"""

SOURCES = "SELECT DISTINCT source FROM log_stream ORDER BY source"
HOSTS = "SELECT DISTINCT host FROM log_stream WHERE source IN ($source) ORDER BY host"

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
            Sql(SUMMARY, "table"),
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
            Sql(NEWEST, "table"),
        )
        .graph_mode(BigValueGraphMode.NONE)
        .links(help_with("IngestionStopped", "ConsumerAway"))
    )


def _over_time(made: dashboard.Dashboard) -> None:
    requests = stacked(
        lines(
            "Requests, by status",
            "reqps",
            "Requests a second, by class of the status.",
            Sql(REQUESTS, "time_series"),
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
                Sql(ERROR_RATE, "time_series"),
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
            Sql(VOLUME, "time_series"),
        ).interval("10s")
    )
    made.with_panel(
        lines(
            "Visitors",
            "suffix: visitors",
            "Distinct addresses in each step of the graph.",
            Sql(VISITORS, "time_series"),
        ).interval("1m")
    )


def _tables(made: dashboard.Dashboard) -> None:
    made.with_row(dashboard.Row("What is asked for"))
    made.with_panel(
        listing(
            "Top paths",
            "short",
            "The paths asked for most, with the share of server errors.",
            Sql(TOP_PATHS, "table"),
        )
        .override_by_name("Server errors", COLOURED_ERRORS)
        .override_by_name("Bytes", unit_of("decbytes"))
    )
    made.with_panel(
        listing(
            "Heaviest paths",
            "decbytes",
            "The paths that cost most bytes.",
            Sql(HEAVY_PATHS, "table"),
        )
    )
    made.with_panel(
        listing(
            "Not found",
            "short",
            "Paths that were answered with 404: broken links, and what scanners try.",
            Sql(MISSING, "table"),
        ).override_by_name("Last", unit_of("dateTimeFromNow"))
    )
    made.with_panel(
        listing(
            "Referrers",
            "short",
            "Where requests came from, without query.",
            Sql(REFERRERS, "table"),
        )
    )


def _people(made: dashboard.Dashboard) -> None:
    made.with_row(dashboard.Row("Who asks"))
    for title, description, statement in (
        ("Bots and people", "Requests by who sent them, as far as the user agent says.", WHO),
        ("Browsers", "Requests by browser, bots and programs left out.", BROWSERS),
        ("Systems", "Requests by operating system, bots and programs left out.", SYSTEMS),
    ):
        made.with_panel(shares(title, "short", description, Sql(statement, "table")))
    made.with_panel(
        listing(
            "Busiest addresses",
            "short",
            "The addresses that ask most. Many client errors are a scanner, or a broken client.",
            Sql(CLIENTS, "table"),
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
    for part in (_summary, _over_time, _tables, _people):
        part(made)
    return made
