-- depends: 0016_show_country_and_city
-- Every line of an error log that fits, in typed columns. Times are UTC.

CREATE TABLE IF NOT EXISTS error_log (
    stream_id BIGINT UNSIGNED NOT NULL,
    line_offset BIGINT UNSIGNED NOT NULL,
    parser_version SMALLINT UNSIGNED NOT NULL,
    flags TINYINT UNSIGNED NOT NULL,
    time DATETIME(3) NOT NULL,
    level VARCHAR(16) NOT NULL,
    pid INT UNSIGNED,
    tid BIGINT UNSIGNED,
    -- The number that all lines about one connection have.
    connection BIGINT UNSIGNED,
    client VARBINARY(16),
    server VARCHAR(255),
    request VARCHAR(2048),
    upstream VARCHAR(2048),
    host VARCHAR(255),
    referrer VARCHAR(2048),
    message VARCHAR(4096) NOT NULL,
    extra JSON,
    PRIMARY KEY (stream_id, line_offset),
    KEY time (time)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
