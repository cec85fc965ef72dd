CREATE TABLE IF NOT EXISTS raw_line (
    stream_id BIGINT UNSIGNED NOT NULL,
    line_offset BIGINT UNSIGNED NOT NULL,
    flags TINYINT UNSIGNED NOT NULL,
    line MEDIUMBLOB NOT NULL,
    stored_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    PRIMARY KEY (stream_id, line_offset)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
AS SELECT stream_id, line_offset, flags, line, stored_at FROM raw_log
