"""The board Traffic: what is my site doing? All of it from clean_log."""

from __future__ import annotations

from typing import LiteralString

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models.dashboard import (
    DynamicConfigValue,
    VariableHide,
    VariableOption,
    VariableRefresh,
)

from boards.parts import (
    MYSQL,
    Sql,
    board,
    bounded,
    colour_of,
    dashed,
    empty_cells,
    figure,
    help_with,
    lines,
    linked,
    listing,
    shares,
    stacked,
    thresholds,
    unit_of,
    warn_at,
    width,
)

#: {shown}: the rows that the board is about, in {time}. The index on time finds them; their
#: streams are looked up afterwards, for a server that begins with the streams reads all of them. A
#: text that is empty chooses nothing. What it holds may be anybody's, who has requested it: of the
#: formats in which Grafana writes one, `lucene` alone escapes the quotes around it and backslashes.
SHOWN = """
    clean_log AS c STRAIGHT_JOIN log_stream AS s ON s.stream_id = c.stream_id
    WHERE {time}
        AND s.source IN ($source) AND s.host IN ($host)
        AND COALESCE(c.status DIV 100, 0) IN ($status)
        AND ("${path:lucene}" = '' OR c.path = "${path:lucene}")
        AND ("${country:lucene}" = '' OR COALESCE(c.country, 'unknown') = "${country:lucene}")
        AND (
            "${bot:lucene}" = '' OR c.user_agent_id IN (
                SELECT b.user_agent_id FROM user_agent AS b
                WHERE b.is_bot AND COALESCE(b.browser, LEFT(b.user_agent, 64)) = "${bot:lucene}"
            )
        )
"""
#: {time} and {at}: the time shown, and where a row stands in it; and those of a week before.
NOW = ("$__timeFilter(c.time)", "c.time")
WEEK_BEFORE = (
    "c.time BETWEEN $__timeFrom() - INTERVAL 7 DAY AND $__timeTo() - INTERVAL 7 DAY",
    "c.time + INTERVAL 7 DAY",
)

# No value is left for a database that does not answer.
SUMMARY = """
    SELECT
        COUNT(*) AS "Requests",
        COALESCE(SUM(c.status BETWEEN 500 AND 599) / COUNT(*), 0) AS "Server errors",
        COALESCE(SUM(c.status BETWEEN 400 AND 499) / COUNT(*), 0) AS "Client errors",
        COALESCE(SUM(c.size), 0) AS "Bytes sent",
        COUNT(DISTINCT c.client) AS "Visitors"
    FROM {shown}
"""

#: Seconds. A web server whose clock is ahead is no reason for less than none.
NEWEST = """
    SELECT
        GREATEST(TIMESTAMPDIFF(SECOND, MAX(time), UTC_TIMESTAMP()), 0) AS "Newest request"
    FROM clean_log
"""

# A hundred requests a step are not noise: at 2 a second that is a minute. At least twenty steps.
STEP = """
    SELECT CASE
        WHEN w.seconds <= 10 THEN '10s'
        WHEN w.seconds <= 60 THEN '1m'
        WHEN w.seconds <= 300 THEN '5m'
        WHEN w.seconds <= 1800 THEN '30m'
        WHEN w.seconds <= 10800 THEN '3h'
        ELSE '1d'
    END
    FROM (
        SELECT LEAST(
            COALESCE(100 * ($__unixEpochTo() - $__unixEpochFrom()) / NULLIF(COUNT(*), 0), 10),
            ($__unixEpochTo() - $__unixEpochFrom()) / 20
        ) AS seconds
        FROM {shown}
    ) AS w
"""

#: {seconds}: of a step, those that are within the time shown, so that the first and the last step
#: show no drop that the site did not have. A tenth at least: less is noise.
SECONDS = """
    GREATEST(
        MIN(
            LEAST($__timeGroup({at},$__interval) + $__interval_ms / 1000, $__unixEpochTo())
            - GREATEST($__timeGroup({at},$__interval), $__unixEpochFrom())
        ),
        $__interval_ms / 10000
    )
"""

REQUESTS = """
    SELECT
        $__timeGroupAlias({at},$__interval,0),
        CASE c.status DIV 100
            WHEN 1 THEN '1xx'
            WHEN 2 THEN '2xx'
            WHEN 3 THEN '3xx'
            WHEN 4 THEN '4xx'
            WHEN 5 THEN '5xx'
            ELSE 'none'
        END AS metric,
        COUNT(*) / {seconds} AS requests
    FROM {shown}
    GROUP BY 1, 2
    ORDER BY 1
"""

REQUESTS_BEFORE = """
    SELECT
        $__timeGroupAlias({at},$__interval,0),
        COUNT(*) / {seconds} AS "a week before"
    FROM {shown}
    GROUP BY 1
    ORDER BY 1
"""

# The share of the requests whose status begins with a digit.
ERRORS = """
    SELECT
        $__timeGroupAlias(c.time,$__interval),
        SUM(c.status BETWEEN {digit}00 AND {digit}99) / COUNT(*) AS "{name}"
    FROM {shown}
    GROUP BY 1
    ORDER BY 1
"""

VOLUME = """
    SELECT
        $__timeGroupAlias({at},$__interval,0),
        SUM(c.size) / {seconds} AS "sent"
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

#: {page}: whether a path is of what a person reads, and not of what it is made of: it has no type,
#: or one of those that make pages.
PAGE = """
    COALESCE(c.file_type, '') IN
        ('', 'html', 'htm', 'xhtml', 'shtml', 'php', 'asp', 'aspx', 'jsp', 'cgi')
"""

TOP_PAGES = """
    SELECT
        c.path AS "Path",
        COUNT(*) AS "Requests",
        SUM(c.status BETWEEN 500 AND 599) / COUNT(*) AS "Server errors",
        COUNT(DISTINCT c.client) AS "Visitors"
    FROM {shown} AND c.path IS NOT NULL AND {page}
    GROUP BY c.path
    ORDER BY 2 DESC
    LIMIT 25
"""

TOP_ASSETS = """
    SELECT
        c.path AS "Path",
        COUNT(*) AS "Requests",
        SUM(c.status BETWEEN 500 AND 599) / COUNT(*) AS "Server errors",
        SUM(c.size) AS "Bytes"
    FROM {shown} AND c.path IS NOT NULL AND NOT {page}
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
    FROM {shown} AND c.path IS NOT NULL AND c.request_time IS NOT NULL
    GROUP BY c.path
    ORDER BY 2 DESC, 5 DESC
    LIMIT 25
"""

# Each distinct referrer is looked at once, after its requests were counted. The site's own are not
# shown: those that the settings name (SITE_HOSTS), and those on the host that was asked. Where
# neither is known it is the host that most lines name: pages ask for what they are made of.
REFERRERS = """
    SELECT h.host AS "Host", h.kind AS "Kind", h.requests AS "Requests"
    FROM (
        SELECT
            k.host, k.kind, SUM(k.requests) AS requests,
            MAX(k.kind = 'internal') OVER () AS is_known,
            ROW_NUMBER() OVER (ORDER BY k.kind <> 'other', SUM(k.requests) DESC) AS place
        FROM (
            SELECT
                COALESCE(r.host, 'not a URL') AS host,
                CASE
                    WHEN r.host IS NULL THEN 'none'
                    WHEN r.host = g.asked THEN 'internal'
                    ELSE COALESCE(r.kind, 'other')
                END AS kind,
                g.requests
            FROM (
                SELECT c.referrer_id, c.host AS asked, COUNT(*) AS requests
                FROM {shown} AND c.referrer_id IS NOT NULL
                GROUP BY c.referrer_id, c.host
            ) AS g JOIN referrer AS r ON r.referrer_id = g.referrer_id
        ) AS k
        GROUP BY k.host, k.kind
    ) AS h
    WHERE h.kind <> 'internal' AND (h.is_known OR h.kind <> 'other' OR h.place > 1)
    ORDER BY h.requests DESC
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
    SELECT
        COALESCE(REPLACE(a.browser, ' UI/WKWebView', ' (app)'), 'other') AS "name",
        SUM(g.requests) AS requests
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

UID = "datastream-traffic"
SOURCES = "SELECT DISTINCT source FROM log_stream ORDER BY source"
HOSTS = "SELECT DISTINCT host FROM log_stream WHERE source IN ($source) ORDER BY host"


def _filled(
    statement: LiteralString, times: tuple[LiteralString, LiteralString] = NOW
) -> LiteralString:
    time, at = times
    for name, words in (
        ("{agents}", AGENTS),
        ("{shown}", SHOWN),
        ("{page}", PAGE),
        ("{seconds}", SECONDS),
        ("{time}", time),
        ("{at}", at),
    ):
        statement = statement.replace(name, words.strip())
    return statement


def _table(statement: LiteralString) -> Sql:
    return Sql(_filled(statement), "table")


def _errors(digit: int, name: str) -> str:
    return ERRORS.replace("{digit}", str(digit)).replace("{name}", name)


def _over_time(statement: LiteralString, times: tuple[LiteralString, LiteralString] = NOW) -> Sql:
    return Sql(_filled(statement, times), "time_series")


#: Of a step of a graph, at least: what STEP answers.
INTERVAL = "$step"
VARIABLES = ("source", "host", "status", "path", "country", "bot")
CHOSEN = "${__value.raw:percentencode}"


def _to_show_only(name: str, value: str = CHOSEN) -> list[DynamicConfigValue]:
    """Return the override that makes a click choose a value of a variable; the others stay."""
    others = "&".join(f"${{{other}:queryparam}}" for other in VARIABLES if other != name)
    return linked(
        f"Show this {name} only",
        f"/d/{UID}/traffic?${{__url_time_range}}&{others}&var-{name}={value}",
    )


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
            "MySQL away",
            _table(SUMMARY),
        )
        .override_by_name("Server errors", RED_ERRORS)
        .override_by_name("Client errors", unit_of("percentunit"))
        .override_by_name("Bytes sent", unit_of("decbytes"))
        .span(20)
    )
    made.with_panel(
        figure(
            "Newest request",
            "s",
            "How long ago the newest request that is stored was made. Yellow from 5 minutes on, red"
            " from 15: while the site has visitors, rows are late.",
            "no row, or MySQL away",
            _table(NEWEST),
        )
        .thresholds(warn_at(300, 900))
        .links(help_with("IngestionStopped", "ConsumerAway"))
    )


def _graphs(made: dashboard.Dashboard) -> None:
    requests = stacked(
        lines(
            "Requests, by status",
            "reqps",
            "Requests a second, by class of the status, and all of them a week before. A click"
            " shows one class only.",
            _over_time(REQUESTS),
            _over_time(REQUESTS_BEFORE, WEEK_BEFORE),
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
        digit = status[0] if status != "none" else "0"
        requests.override_by_name(status, [*colour_of(colour), *_to_show_only("status", digit)])
    requests.override_by_name(
        "a week before",
        [
            *colour_of("text"),
            DynamicConfigValue(id_val="custom.stacking", value={"mode": "none"}),
            DynamicConfigValue(id_val="custom.fillOpacity", value=0),
            DynamicConfigValue(id_val="custom.lineWidth", value=1),
            DynamicConfigValue(id_val="custom.lineStyle", value={"fill": "dash", "dash": [8, 8]}),
        ],
    )
    made.with_panel(requests.interval(INTERVAL))
    made.with_panel(
        dashed(
            lines(
                "Server errors",
                "percentunit",
                "Of the requests, the share that the server failed (5xx).",
                _over_time(_errors(5, "server errors")),
            ),
            warn_at(0.01, 0.05),
        )
        .override_by_name("server errors", colour_of("red"))
        .span(6)
        .interval(INTERVAL)
    )
    made.with_panel(
        lines(
            "Client errors",
            "percentunit",
            "Of the requests, the share that the server refused (4xx): wrong links, and what"
            " scanners try. No share of them is too high by itself.",
            _over_time(_errors(4, "client errors")),
        )
        .override_by_name("client errors", colour_of("orange"))
        .span(6)
        .interval(INTERVAL)
    )
    made.with_panel(
        lines(
            "Bytes sent",
            "Bps",
            "Bytes a second of the answers, headers not counted.",
            _over_time(VOLUME),
        ).interval(INTERVAL)
    )
    made.with_panel(
        lines(
            "Visitors",
            "count:visitors",
            "Distinct addresses in each step of the graph, the last of which is not over.",
            _over_time(VISITORS),
        ).interval(INTERVAL)
    )


def _tables(made: dashboard.Dashboard) -> None:
    made.with_row(dashboard.Row("What is asked for"))
    made.with_panel(
        listing(
            "Top pages",
            "short",
            "The pages asked for most, with the share of server errors. A click shows one only.",
            _table(TOP_PAGES),
        )
        .override_by_name("Path", _to_show_only("path"))
        .override_by_name("Server errors", COLOURED_ERRORS)
    )
    made.with_panel(
        listing(
            "Top assets",
            "short",
            "What pages are made of, and files: paths with a type that is none of a page's.",
            _table(TOP_ASSETS),
        )
        .override_by_name("Path", _to_show_only("path"))
        .override_by_name("Server errors", COLOURED_ERRORS)
        .override_by_name("Bytes", unit_of("decbytes"))
    )
    made.with_panel(
        listing(
            "Heaviest paths",
            "decbytes",
            "The paths that cost most bytes.",
            _table(HEAVY_PATHS),
        ).override_by_name("Path", _to_show_only("path"))
    )
    made.with_panel(
        listing(
            "Not found",
            "short",
            "Paths that were answered with 404: broken links, and what scanners try.",
            _table(MISSING),
        )
        .override_by_name("Path", _to_show_only("path"))
        .override_by_name("Last", [*unit_of("dateTimeFromNow"), *width(150)])
    )
    made.with_panel(
        listing(
            "Slowest paths",
            "s",
            "The paths that take longest, from the first byte of a request to the last of the"
            " answer, where the log's format has that time.",
            _table(SLOW_PATHS),
        )
        .override_by_name("Path", _to_show_only("path"))
        .override_by_name("Requests", unit_of("short"))
        .override_by_name("Upstream", empty_cells("-"))
        .span(16)
        .no_value(
            "No request has a time: the usual formats do not log it, docs/formats.md says how"
        )
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
        )
        .override_by_name("Country", _to_show_only("country"))
        .override_by_name("Bytes", unit_of("decbytes"))
        .span(8)
    )
    made.with_panel(
        listing(
            "Bots and programs",
            "short",
            "Crawlers, scripts and scanners by name, as far as the user agent says.",
            _table(BOTS),
        )
        .override_by_name("Bot or program", _to_show_only("bot"))
        .span(8)
    )
    made.with_panel(
        listing(
            "Referrers",
            "short",
            "The other sites that requests came from: search, social or other. The site's own hosts"
            " are left out: SITE_HOSTS, the host asked, or, where neither is known, the host that"
            " most lines name.",
            _table(REFERRERS),
        ).span(8)
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
    name: str, label: str, description: str, statement: LiteralString, every: str
) -> dashboard.QueryVariable:
    """Return a variable; All is the column `every` itself, so that it holds with no stream yet."""
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .description(description)
        .datasource(MYSQL)
        .query(bounded(statement))
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .all_value(every)
        .current(VariableOption(text="All", value="$__all"))
    )


def _text(name: str, label: str, description: str) -> dashboard.TextBoxVariable:
    """Return a variable that is a text; empty is every one."""
    return dashboard.TextBoxVariable(name).label(label).description(description).default_value("")


def build() -> dashboard.Dashboard:
    """Return the board."""
    made = (
        board("Traffic", UID, "What is my site doing?", ["5m", "15m", "1h"])
        .time("now-1h", "now")
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
        .with_variable(_text("path", "Path", "One path, as Top pages shows it. Empty: every path."))
        .with_variable(
            _text("country", "Country", "Two letters, or unknown. Empty: every country.")
        )
        .with_variable(_text("bot", "Bot", "As Bots and programs names it. Empty: all clients."))
        .with_variable(
            dashboard.QueryVariable("step")
            .description("The shortest step of a graph: one that has enough requests.")
            .hide(VariableHide.HIDE_VARIABLE)
            .datasource(MYSQL)
            .query(bounded(_filled(STEP)))
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        )
    )
    for part in (_summary, _graphs, _tables, _people):
        part(made)
    return made
