-- depends: 0004_create_clean_log
-- Every line that does not fit its format, with the reason; its text is in raw_log.

CREATE TABLE IF NOT EXISTS rejected_log (
    stream_id BIGINT UNSIGNED NOT NULL,
    line_offset BIGINT UNSIGNED NOT NULL,
    parser_version SMALLINT UNSIGNED NOT NULL,
    flags TINYINT UNSIGNED NOT NULL,
    reason VARCHAR(32) NOT NULL,
    PRIMARY KEY (stream_id, line_offset)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
