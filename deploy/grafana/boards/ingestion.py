"""The board Ingestion: whether it is flowing, late or losing anything."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard, statetimeline
from grafana_foundation_sdk.models.dashboard import (
    DynamicConfigValue,
    ValueMap,
    ValueMappingResult,
    VariableOption,
    VariableRefresh,
)

from boards import runbook
from boards.parts import (
    AROUND,
    COLOURED,
    LETTER,
    LINES_PER_SECOND,
    PROMETHEUS,
    ROWS_PER_SECOND,
    board,
    buckets,
    colour_of,
    dashed,
    figure,
    heat,
    help_with,
    joined,
    latest,
    lines,
    linked,
    mapped,
    promql,
    rows_of,
    table_of,
    thresholds,
    unit_of,
    warn_at,
    width,
    words,
)

QUEUES = 'queue=~"queue-data-lake|queue-data-clean"'
DEAD = 'queue=~"queue-data-lake-dead|queue-data-clean-dead"'
SERVICES = 'job=~"producer|lake_consumer|clean_consumer", replica=~"$replica"'
RATE = "$__rate_interval"

# What the figures ask. Each has a value only while the parts that it tells of are there, and what
# these depend on: a rate over some minutes outlives both, and would look like health.
# deploy/prometheus/tests/figures.yml shows each with and without them.
BOTH_CONSUMERS = """
    count(min by (job) (up{job=~"lake_consumer|clean_consumer"}) == 1) == 2
"""
LINES_IN = """
    datastream:lines_published:rate1m
    and on () min(up{job="producer"}) == 1
    and on () min(datastream_dependency_up{job="producer", dependency="rabbitmq"}) == 1
"""
# NaN while no slice was stored within five minutes: idle, if none waited all of the last one.
LINE_TO_ROW = f"""
    max(datastream:line_to_row_seconds:p95_5m)
    and on () {BOTH_CONSUMERS.strip()}
    and on () min(datastream_dependency_up{{job=~"lake_consumer|clean_consumer"}}) == 1
    and on () (
      datastream:line_to_row_seconds:p95_5m{{job="lake_consumer"}} >= 0
      or on () min_over_time(rabbitmq_detailed_queue_messages{{queue="queue-data-lake"}}[1m]) == 0
    )
    and on () (
      datastream:line_to_row_seconds:p95_5m{{job="clean_consumer"}} >= 0
      or on () min_over_time(rabbitmq_detailed_queue_messages{{queue="queue-data-clean"}}[1m]) == 0
    )
"""
BEHIND = """
    max(datastream_behind_seconds) and on () min(up{job="producer"}) == 1
"""
REJECTED = """
    datastream:lines_rejected:ratio10m and on () min(up{job="clean_consumer"}) == 1
"""
DEAD_LETTERS = f"""
    sum(rabbitmq_detailed_queue_messages{{{DEAD}}})
    and on () count(rabbitmq_detailed_queue_messages{{{DEAD}}}) == 2
"""
# NaN while a consumer has run for less than the hour: what it counted before it was looked at first
# is in no increase.
AN_HOUR = """(
      time() - max(process_start_time_seconds{job=~"lake_consumer|clean_consumer"}) > bool 3600
    )"""
DRIFT = f"""
    datastream:rows:drift1h * on () {AN_HOUR} / on () {AN_HOUR}
    and on () {BOTH_CONSUMERS.strip()}
"""
CONSUMERS = f"""
    sum by (queue) (rabbitmq_detailed_queue_consumers{{{QUEUES}}})
    and on () count(rabbitmq_detailed_queue_consumers{{{QUEUES}}}) == 2
"""

# Prometheus has no alert's summary: a column with its name shows it, and one with the number of its
# paragraph. A row says that none is firing, for no row is an answer that did not come.
ALERTS = """
    label_join(
      label_replace(
        label_replace(
          label_replace(
            label_replace(
              ALERTS{alertstate=~"firing|pending"}
              or on ()
              label_replace(max(up) * 0, "alertstate", "none", "", ""),
              "summary", "$1", "alertname", "(.+)"
            ),
            "runbook", "$1", "alertname", "(.+)"
          ),
          "place", "$1", "job", "(.+)"
        ),
        "place", "$1", "replica", "(.+)"
      ),
      "where", " ", "place", "dependency", "queue", "policy", "resource", "source", "path"
    )
"""
RUNBOOK = f"/d/{runbook.UID}/runbook?viewPanel=${{__data.fields.runbook}}"
# By reason where there is one, else a row of 0.
SHOULD_BE_EMPTY = """
    sort_desc(
      datastream:should_be_empty:last1h > 0
      or on (what)
      label_replace(sum by (what) (datastream:should_be_empty:last1h), "reason", "-", "", "")
    )
"""
#: What the broker is called, among the replicas.
BROKER = 'label_replace({}, "replica", "rabbitmq", "", "")'

#: The bytes at which a queue refuses: datastream.topology.MAX_QUEUE_BYTES.
QUEUE_LIMIT = 4 * 1024**3


def _first_look(made: dashboard.Dashboard) -> None:
    made.with_row(dashboard.Row("Is it flowing, is it late, is anything lost?"))
    made.with_panel(
        figure(
            "Lines in",
            LINES_PER_SECOND,
            "Lines a second that the broker has confirmed on both queues. 0 is right while the"
            " log is quiet.",
            "producer or RabbitMQ away",
            latest(LINES_IN, "lines in"),
        ).links(help_with("IngestionStopped", "ProducerAway"))
    )
    made.with_panel(
        figure(
            "Line to row",
            "s",
            "From the reading of a line to its commit: 95 of 100 slices took no longer, at the"
            " consumer that takes longer. Idle is right while the log is quiet.",
            "no rows stored",
            latest(LINE_TO_ROW, "line to row"),
        )
        .thresholds(warn_at(5, 60))
        .links(help_with("RowsLate", "BacklogGrowing"))
    )
    made.with_panel(
        figure(
            "Behind the log",
            "s",
            "For how long the log that waits longest has had bytes that are not confirmed.",
            "producer away",
            latest(BEHIND, "behind"),
        )
        .mappings(words("producer away", ValueMappingResult(text="nothing waits", color="green")))
        .thresholds(warn_at(10, 60))
        .links(help_with("LagGrowing", "IngestionStopped"))
    )
    made.with_panel(
        figure(
            "Rejected",
            "percentunit",
            "Of the lines of the last ten minutes, the share that does not fit its format. Their"
            " text is in raw_log.",
            "clean consumer away",
            latest(REJECTED, "rejected"),
        )
        .thresholds(warn_at(0.02, 0.05))
        .links(help_with("RejectsHigh", "FormatMisfit"))
    )
    made.with_panel(
        figure(
            "Dead letters",
            "short",
            "Messages that wait on the dead-letter queues for somebody to look at them.",
            "queue or RabbitMQ away",
            latest(DEAD_LETTERS, "dead letters"),
        )
        .thresholds(thresholds((1, "red")))
        .links(help_with("DeadLetters", "IdentityConflict"))
    )
    made.with_panel(
        figure(
            "Raw minus parsed",
            "count:lines",
            "New raw lines of the last hour, minus lines parsed or rejected. 0 when every line is"
            " on both sides; more while a backlog drains. Consumers that began within the hour"
            " cannot be compared yet.",
            "consumer away",
            latest(DRIFT, "difference"),
        )
        .mappings(words("consumer away", nan="not an hour yet"))
        .links(help_with("RowsDrift"))
    )
    made.with_panel(
        table_of(
            "Alerts",
            "The alerts that are firing or about to, each a link to what to do. None is the usual"
            " state.",
            rows_of(ALERTS),
            {
                "alertstate": "State",
                "severity": "Severity",
                "alertname": "Alert",
                "summary": "What",
                "where": "Where",
                "runbook": "",
            },
        )
        .override_by_name(
            "State",
            [
                *width(76),
                *mapped(
                    {
                        "firing": ValueMappingResult(text="firing", color="red", index=0),
                        "pending": ValueMappingResult(text="soon", color="yellow", index=1),
                        "none": ValueMappingResult(text="none", color="green", index=2),
                    }
                ),
                COLOURED,
            ],
        )
        .override_by_name(
            "Severity",
            [
                *width(92),
                *mapped(
                    {
                        "critical": ValueMappingResult(color="red", index=0),
                        "warning": ValueMappingResult(color="yellow", index=1),
                    }
                ),
                COLOURED,
            ],
        )
        .override_by_name("Alert", [*width(150), *linked("What to do", RUNBOOK)])
        .override_by_name("What", mapped(runbook.summaries()))
        .override_by_name("Where", [*width(400), *unit_of("string")])
        .override_by_name("runbook", mapped(runbook.numbers()))
        .height(7)
        .span(24)
        .links(help_with("TargetDown"))
    )
    made.with_panel(
        table_of(
            "Should be empty",
            "What is not as it should be: of things that are, how many now; of things that happen,"
            " how many in the last hour. 0 everywhere is the usual state. Some lines seen again are"
            " right after a restart. docs/formats.md says why a line is rejected.",
            rows_of(SHOULD_BE_EMPTY),
            {"what": "What", "reason": "Why", "Value": "Count"},
        )
        .override_by_name("Why", width(150))
        .override_by_name("Count", [*width(LETTER * len("Count") + AROUND), COLOURED])
        .thresholds(thresholds((1, "orange")))
        .span(10)
        .links(
            help_with(
                "RejectsHigh",
                "FormatMisfit",
                "LogPassedOver",
                "SlicesCrashed",
                "DeadLetters",
                "IdentityConflict",
                "PolicyBreaksPromise",
                "DependencyAway",
                "TargetDown",
                "CrashLooping",
                "CheckpointStale",
            )
        )
    )
    made.with_panel(
        figure(
            "Consumers",
            "short",
            "Consumers attached to each queue. More of clean_consumer share its queue.",
            "queue or RabbitMQ away",
            latest(CONSUMERS, "{{queue}}"),
        )
        .mappings(words("queue or RabbitMQ away", ValueMappingResult(text="none", color="red")))
        .thresholds(thresholds((0, "red"), (1, "green")))
        .height(10)
        .span(4)
        .links(help_with("ConsumerAway"))
    )
    made.with_panel(
        statetimeline.Panel()
        .title("Dependencies")
        .description("Whether each service reached what it needs when it last used it.")
        .unit("short")
        .datasource(PROMETHEUS)
        .with_target(
            promql(
                "min by (job, dependency) (datastream_dependency_up)", "{{job}}: {{dependency}}"
            ).ref_id("A")
        )
        .mappings(
            [
                ValueMap(
                    options={
                        "0": ValueMappingResult(text="away", color="red", index=0),
                        "1": ValueMappingResult(text="there", color="green", index=1),
                    }
                )
            ]
        )
        .thresholds(thresholds())
        .height(10)
        .span(10)
        .links(help_with("DependencyAway"))
    )


def _flow(made: dashboard.Dashboard) -> None:
    made.with_row(dashboard.Row("Flow"))
    made.with_panel(
        lines(
            "Lines in, and rows out",
            LINES_PER_SECOND,
            "Lines confirmed, and new rows of each table. raw_log follows the lines in; clean_log"
            " and rejected_log together do too.",
            promql(
                "datastream:lines_stored:rate1m or"
                ' label_replace(datastream:lines_published:rate1m, "table", "published", "", "")',
                "{{table}}",
            ),
        )
        .override_by_name("rejected_log", colour_of("red"))
        .links(help_with("IngestionStopped", "RowsDrift"))
    )
    made.with_panel(
        lines(
            "Lines by replica",
            LINES_PER_SECOND,
            "Each process: lines published by a producer, new rows of each table by a consumer."
            " Replicas of a consumer share the work evenly.",
            promql(
                f"datastream:lines_of_replica:rate1m{{{SERVICES}}}",
                "{{replica}} {{table}}",
            ),
        ).links(help_with("ConsumerAway", "CrashLooping"))
    )
    for job, name in (("lake_consumer", "raw_log"), ("clean_consumer", "clean_log")):
        made.with_panel(
            heat(
                f"From line to row: {name}",
                "s",
                "Slices by the time from their reading to their commit. One dark band at the bottom"
                " is right; a band that climbs is a backlog.",
                buckets(
                    "sum by (le) (datastream:line_to_row_seconds_bucket:increase1m"
                    f'{{job="{job}", replica=~"$replica"}})'
                ),
            ).links(help_with("RowsLate", "BacklogGrowing"))
        )


def _distance(made: dashboard.Dashboard) -> None:
    made.with_row(dashboard.Row("Distance and queues"))
    made.with_panel(
        dashed(
            lines(
                "Behind the log",
                "bytes",
                "Bytes of the logs that are not confirmed. It saws near 0 in step with the log.",
                promql(f"datastream_behind_bytes{{{SERVICES}}}", "{{replica}}"),
            ),
            thresholds((64 * 1024**2, "yellow")),
        )
        .span(8)
        .links(help_with("LagGrowing", "IngestionStopped"))
    )
    made.with_panel(
        dashed(
            lines(
                "Queues, and where they will be in an hour",
                "bytes",
                "Bytes in each queue, and in an hour at the pace of the last quarter. At the red"
                " line a queue refuses and the producer waits.",
                promql(
                    f"rabbitmq_detailed_queue_messages_bytes{{{QUEUES}}}"
                    ' or label_replace(datastream:queue_bytes:in1h, "queue", "$1 in an hour",'
                    ' "queue", "(.*)")',
                    "{{queue}}",
                ),
            ).override_by_regexp(
                ".*in an hour",
                [
                    DynamicConfigValue(
                        id_val="custom.lineStyle", value={"fill": "dash", "dash": [8, 8]}
                    ),
                    DynamicConfigValue(id_val="custom.fillOpacity", value=0),
                ],
            ),
            thresholds((0.8 * QUEUE_LIMIT, "yellow"), (QUEUE_LIMIT, "red")),
        )
        .span(8)
        .links(help_with("BacklogGrowing", "QueueNearLimit", "PolicyBreaksPromise"))
    )
    made.with_panel(
        lines(
            "Messages in the queues",
            "short",
            "Slices that are ready, and slices that a consumer holds until they are committed.",
            promql(
                f"rabbitmq_detailed_queue_messages_ready{{{QUEUES}}} or label_replace("
                f"rabbitmq_detailed_queue_messages_unacked{{{QUEUES}}},"
                ' "queue", "$1 in hand", "queue", "(.*)")',
                "{{queue}}",
            ),
        )
        .span(8)
        .links(help_with("BacklogGrowing"))
    )


def _storing(made: dashboard.Dashboard) -> None:
    made.with_row(dashboard.Row("Storing"))
    made.with_panel(
        lines(
            "Rows a commit",
            "count:rows",
            "How many rows a transaction stores. Batches grow by themselves while there is a"
            " backlog.",
            promql("datastream:rows_a_commit:mean1m", "{{job}}"),
        )
        .span(6)
        .links(help_with("BacklogGrowing"))
    )
    made.with_panel(
        dashed(
            lines(
                "Time to commit",
                "s",
                "To store one batch, attempts that failed included: half of them, and 95 of 100.",
                promql("datastream:store_seconds:quantile1m", "{{job}} {{share}}"),
            ),
            warn_at(1, 10),
        )
        .span(6)
        .links(help_with("BacklogGrowing"))
    )
    made.with_panel(
        lines(
            "Deliveries",
            "count:messages/s",
            "Messages taken from the queues.",
            promql("datastream:deliveries:rate1m", "{{job}}"),
        )
        .span(6)
        .links(help_with("DeadLetters"))
    )
    made.with_panel(
        lines(
            "The database",
            ROWS_PER_SECOND,
            "Rows that the database server inserts.",
            promql(
                f'rate(mysql_global_status_innodb_row_ops_total{{operation="inserted"}}[{RATE}])',
                "rows inserted",
            ),
        )
        .span(6)
        .links(help_with("DependencyAway"))
    )


def _processes(made: dashboard.Dashboard) -> None:
    made.with_row(dashboard.Row("Processes"))
    made.with_panel(
        dashed(
            lines(
                "Memory",
                "bytes",
                "Resident memory of each process, the broker's too. A service stays under 100 MB."
                " MySQL does not tell its own: `docker stats` does.",
                promql(
                    f"process_resident_memory_bytes{{{SERVICES}}}"
                    f" or {BROKER.format('rabbitmq_process_resident_memory_bytes')}",
                    "{{replica}}",
                ),
            ),
            thresholds((100e6, "yellow")),
        )
        .span(8)
        .links(help_with("CrashLooping", "BrokerMemoryAlarm"))
    )
    made.with_panel(
        dashed(
            lines(
                "CPU",
                "percentunit",
                "Of one core, by process. One core is all that a service can use; the broker can"
                " use more. MySQL does not tell its own: `docker stats` does.",
                promql(
                    f"rate(process_cpu_seconds_total{{{SERVICES}}}[{RATE}])"
                    f" or {BROKER.format('datastream:rabbitmq_cpu:cores1m')}",
                    "{{replica}}",
                ),
            ),
            thresholds((0.9, "yellow")),
        )
        .span(8)
        .links(help_with("BacklogGrowing"))
    )
    made.with_panel(
        lines(
            "Disk left to RabbitMQ",
            "bytes",
            "Free bytes of the disk that holds the queues, and the limit at which the broker takes"
            " no more.",
            joined(
                free="rabbitmq_disk_space_available_bytes",
                limit="rabbitmq_disk_space_available_limit_bytes",
            ),
        )
        .override_by_name("limit", colour_of("red"))
        .span(8)
        .links(help_with("DiskFilling", "BrokerDiskAlarm"))
    )


def build() -> dashboard.Dashboard:
    """Return the board."""
    made = (
        board(
            "Ingestion",
            "datastream-ingestion",
            "From the log to the rows: is it flowing, is it late, is anything lost?",
            ["10s", "30s", "1m", "5m"],
        )
        .time("now-15m", "now")
        .with_variable(
            dashboard.QueryVariable("replica")
            .label("Process")
            .description("Replicas, by the last number of their address.")
            .datasource(PROMETHEUS)
            .query("label_values(datastream_dependency_up, replica)")
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .multi(True)
            .include_all(True)
            .all_value(".*")
            .current(VariableOption(text="All", value="$__all"))
        )
    )
    for row in (_first_look, _flow, _distance, _storing, _processes):
        row(made)
    return made
