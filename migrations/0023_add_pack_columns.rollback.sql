ALTER TABLE raw_line
    RENAME COLUMN body TO line,
    DROP COLUMN end_offset,
    DROP COLUMN line_count,
    DROP COLUMN codec
