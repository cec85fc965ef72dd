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

from boards.parts import (
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
    latest,
    lines,
    promql,
    stacked,
    thresholds,
    warn_at,
)

QUEUES = 'queue=~"queue-data-lake|queue-data-clean"'
DEAD = 'queue=~"queue-data-lake-dead|queue-data-clean-dead"'
SERVICES = 'job=~"producer|lake_consumer|clean_consumer", instance=~"$instance"'
RATE = "$__rate_interval"

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
            promql("datastream:lines_published:rate1m", "lines in"),
        ).links(help_with("IngestionStopped", "ProducerAway"))
    )
    made.with_panel(
        figure(
            "Line to row",
            "s",
            "From the reading of a line to its commit: 95 of 100 slices took no longer.",
            promql("datastream:line_to_row_seconds:p95_5m", "{{job}}"),
        )
        .thresholds(warn_at(5, 60))
        .links(help_with("BacklogGrowing"))
    )
    made.with_panel(
        figure(
            "Behind the log",
            "s",
            "For how long the log that waits longest has had bytes that are not confirmed.",
            promql("max(datastream_behind_seconds)", "behind"),
        )
        .thresholds(warn_at(10, 60))
        .links(help_with("LagGrowing", "IngestionStopped"))
    )
    made.with_panel(
        figure(
            "Rejected",
            "percentunit",
            "Of the lines of the last ten minutes, the share that does not fit its format. Their"
            " text is in raw_log.",
            promql("datastream:lines_rejected:ratio10m", "rejected"),
        )
        .thresholds(warn_at(0.02, 0.05))
        .links(help_with("RejectsHigh"))
    )
    made.with_panel(
        figure(
            "Dead letters",
            "short",
            "Messages that wait on the dead-letter queues for somebody to look at them.",
            promql(f"sum(rabbitmq_detailed_queue_messages{{{DEAD}}})", "dead letters"),
        )
        .thresholds(thresholds((1, "red")))
        .links(help_with("DeadLetters", "IdentityConflict"))
    )
    made.with_panel(
        figure(
            "Raw minus parsed",
            "suffix: lines",
            "New raw lines of the last hour, minus lines parsed or rejected. 0 when every line is"
            " on both sides; more while a backlog drains or after a restart.",
            promql("datastream:rows:drift1h", "difference"),
        ).links(help_with("RowsDrift"))
    )
    made.with_panel(
        dashboard.Panel()
        .type("alertlist")
        .title("Alerts")
        .description("The alerts that are firing or about to. None is the usual state.")
        .unit("short")
        .height(7)
        .span(10)
        .links(help_with("TargetDown"))
        .options(
            {
                "viewMode": "list",
                "groupMode": "default",
                "maxItems": 20,
                "sortOrder": 3,
                "datasource": "Prometheus",
                "stateFilter": {"firing": True, "pending": True, "normal": False},
            }
        )
    )
    made.with_panel(
        figure(
            "Consumers",
            "short",
            "Consumers attached to each queue. More of clean_consumer share its queue.",
            latest(f"sum by (queue) (rabbitmq_detailed_queue_consumers{{{QUEUES}}})", "{{queue}}"),
        )
        .thresholds(thresholds((0, "red"), (1, "green")))
        .height(7)
        .span(6)
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
        .height(7)
        .span(8)
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
            promql("datastream:lines_published:rate1m", "published"),
            promql("datastream:lines_stored:rate1m", "{{table}}"),
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
                f"sum by (job, instance) (rate(datastream_lines_published_total{{{SERVICES}}}"
                f"[{RATE}]))",
                "{{instance}} published",
            ),
            promql(
                f"sum by (job, instance, table) (rate(datastream_lines_stored_total{{{SERVICES}}}"
                f"[{RATE}]))",
                "{{instance}} {{table}}",
            ),
        ).links(help_with("ConsumerAway", "CrashLooping"))
    )
    for job, table in (("lake_consumer", "raw_log"), ("clean_consumer", "clean_log")):
        made.with_panel(
            heat(
                f"From line to row: {table}",
                "s",
                "Slices by the time from their reading to their commit. One dark band at the bottom"
                " is right; a band that climbs is a backlog.",
                buckets(
                    "sum by (le) (increase(datastream_line_to_row_seconds_bucket"
                    f'{{job="{job}", instance=~"$instance"}}[{RATE}]))'
                ),
            ).links(help_with("BacklogGrowing"))
        )
    made.with_panel(
        stacked(
            lines(
                "Rejected, by reason",
                LINES_PER_SECOND,
                "Lines put into rejected_log. docs/formats.md says what each reason means.",
                promql("datastream:lines_rejected:rate1m", "{{reason}}"),
            )
        ).links(help_with("RejectsHigh", "SlicesCrashed"))
    )
    made.with_panel(
        lines(
            "Seen again",
            LINES_PER_SECOND,
            "Lines delivered again whose rows were there already, and rows replaced. Some after a"
            " restart are right; they never become new rows.",
            promql(f"sum(rate(datastream_lines_duplicate_total[{RATE}]))", "duplicate"),
            promql(f"sum(rate(datastream_lines_replaced_total[{RATE}]))", "replaced"),
        ).links(help_with("CrashLooping"))
    )


def _distance(made: dashboard.Dashboard) -> None:
    made.with_row(dashboard.Row("Distance and queues"))
    made.with_panel(
        dashed(
            lines(
                "Behind the log",
                "bytes",
                "Bytes of the logs that are not confirmed. It saws near 0 in step with the log.",
                promql(f"datastream_behind_bytes{{{SERVICES}}}", "{{instance}}"),
            ),
            thresholds((64 * 1024**2, "yellow")),
        ).links(help_with("LagGrowing", "IngestionStopped"))
    )
    made.with_panel(
        lines(
            "Age of the checkpoint",
            "s",
            "Since the producer last wrote down how far it is. It grows while the log is quiet.",
            promql(
                f"time() - datastream_checkpoint_timestamp_seconds{{{SERVICES}}}", "{{instance}}"
            ),
        ).links(help_with("CheckpointStale"))
    )
    made.with_panel(
        dashed(
            lines(
                "Queues, and where they will be in an hour",
                "bytes",
                "Bytes in each queue, and in an hour at the pace of the last quarter. At the red"
                " line a queue refuses and the producer waits.",
                promql(f"rabbitmq_detailed_queue_messages_bytes{{{QUEUES}}}", "{{queue}}"),
                promql(
                    f"clamp_min(predict_linear(rabbitmq_detailed_queue_messages_bytes{{{QUEUES}}}"
                    "[15m], 3600), 0)",
                    "{{queue}} in an hour",
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
        ).links(help_with("BacklogGrowing", "QueueNearLimit", "PolicyBreaksPromise"))
    )
    made.with_panel(
        lines(
            "Messages in the queues",
            "short",
            "Slices that are ready, and slices that a consumer holds until they are committed.",
            promql(f"rabbitmq_detailed_queue_messages_ready{{{QUEUES}}}", "{{queue}} ready"),
            promql(f"rabbitmq_detailed_queue_messages_unacked{{{QUEUES}}}", "{{queue}} in hand"),
        ).links(help_with("BacklogGrowing"))
    )


def _storing(made: dashboard.Dashboard) -> None:
    made.with_row(dashboard.Row("Storing"))
    made.with_panel(
        lines(
            "Rows a commit",
            "suffix: rows",
            "How many rows a transaction stores. Batches grow by themselves while there is a"
            " backlog.",
            promql(
                f"sum by (job) (rate(datastream_lines_stored_total[{RATE}]))"
                f" / sum by (job) (rate(datastream_store_seconds_count[{RATE}]))",
                "{{job}}",
            ),
        )
        .span(8)
        .links(help_with("BacklogGrowing"))
    )
    made.with_panel(
        dashed(
            lines(
                "Time to commit",
                "s",
                "To store one batch, attempts that failed included: half of them, and 95 of 100.",
                *(
                    promql(
                        f"histogram_quantile({quantile}, sum by (job, le)"
                        f" (rate(datastream_store_seconds_bucket[{RATE}])))",
                        f"{{{{job}}}} {words}",
                    )
                    for quantile, words in ((0.5, "half"), (0.95, "95 of 100"))
                ),
            ),
            warn_at(1, 10),
        )
        .span(8)
        .links(help_with("BacklogGrowing"))
    )
    made.with_panel(
        lines(
            "Attempts that failed",
            "suffix: /min",
            "Attempts a minute that found a dependency away or busy, by reason, of all services:"
            " Dependencies says whose. They are made again, and nothing is lost. 0 is right.",
            promql(
                "60 * sum by (dependency, reason)"
                f" (rate(datastream_retries_total{{{SERVICES}}}[{RATE}]))",
                "{{dependency}}: {{reason}}",
            ),
        )
        .span(8)
        .links(help_with("DependencyAway"))
    )
    made.with_panel(
        lines(
            "Dead letters, by reason",
            "short",
            "Messages that each service has put on a dead-letter queue since it started.",
            promql("sum by (job, reason) (datastream_dead_letters_total)", "{{job}}: {{reason}}"),
        )
        .span(8)
        .links(help_with("DeadLetters", "SlicesCrashed", "IdentityConflict"))
    )
    made.with_panel(
        lines(
            "Deliveries",
            "suffix: messages/s",
            "Messages taken from the queues, and those of them that had been delivered before.",
            promql(f"sum by (job) (rate(datastream_deliveries_total[{RATE}]))", "{{job}}"),
            promql(f"sum by (job) (rate(datastream_redeliveries_total[{RATE}]))", "{{job}} again"),
        )
        .span(8)
        .links(help_with("DeadLetters"))
    )
    made.with_panel(
        lines(
            "The database",
            ROWS_PER_SECOND,
            "Rows that the database server inserts, and how often a row waited for a lock.",
            promql(
                f'rate(mysql_global_status_innodb_row_ops_total{{operation="inserted"}}[{RATE}])',
                "rows inserted",
            ),
            promql(
                f"rate(mysql_global_status_innodb_row_lock_waits[{RATE}])", "waits for a row lock"
            ),
        )
        .span(8)
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
                promql(f"process_resident_memory_bytes{{{SERVICES}}}", "{{job}} {{instance}}"),
                promql("rabbitmq_process_resident_memory_bytes", "rabbitmq"),
            ),
            thresholds((100e6, "yellow")),
        )
        .span(8)
        .links(help_with("CrashLooping"))
    )
    made.with_panel(
        dashed(
            lines(
                "CPU",
                "percentunit",
                "Of one core, by process. One core is all that a service can use; the broker can"
                " use more. MySQL does not tell its own: `docker stats` does.",
                promql(
                    f"rate(process_cpu_seconds_total{{{SERVICES}}}[{RATE}])", "{{job}} {{instance}}"
                ),
                promql(f"rate(erlang_vm_statistics_runtime_seconds_total[{RATE}])", "rabbitmq"),
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
            promql("rabbitmq_disk_space_available_bytes", "free"),
            promql("rabbitmq_disk_space_available_limit_bytes", "limit"),
        )
        .override_by_name("limit", colour_of("red"))
        .span(8)
        .links(help_with("DiskFilling"))
    )


def build() -> dashboard.Dashboard:
    """Return the board."""
    made = (
        board(
            "Ingestion",
            "datastream-ingestion",
            "From the log to the rows: is it flowing, is it late, is anything lost?",
        )
        .time("now-15m", "now")
        .refresh("5s")
        .with_variable(
            dashboard.QueryVariable("instance")
            .label("Process")
            .description("Replicas, by address.")
            .datasource(PROMETHEUS)
            .query("label_values(datastream_dependency_up, instance)")
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
