-- depends: 0022_rename_raw_log_to_raw_line
-- A row is a pack: lines of one stream that follow on one another, from line_offset to before the
-- newline at end_offset. Where that is NULL an older version stored the one line. codec 0: the body
-- is that line; 1: JSON, [[OFFSET,"LINE"],...], as COMPRESS writes it, its letters the bytes in
-- latin1; others are free. The server changes its dictionary alone, not the rows.

ALTER TABLE raw_line
    RENAME COLUMN line TO body,
    ADD COLUMN end_offset BIGINT UNSIGNED AFTER flags,
    ADD COLUMN line_count INT UNSIGNED NOT NULL DEFAULT 1 AFTER end_offset,
    ADD COLUMN codec TINYINT UNSIGNED NOT NULL DEFAULT 0 AFTER line_count
