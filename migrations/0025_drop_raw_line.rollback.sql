CREATE TABLE IF NOT EXISTS raw_line (
    stream_id BIGINT UNSIGNED NOT NULL,
    line_offset BIGINT UNSIGNED NOT NULL,
    flags TINYINT UNSIGNED NOT NULL,
    end_offset BIGINT UNSIGNED,
    line_count INT UNSIGNED NOT NULL DEFAULT 1,
    codec TINYINT UNSIGNED NOT NULL DEFAULT 0,
    body MEDIUMBLOB NOT NULL,
    stored_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    PRIMARY KEY (stream_id, line_offset)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
AS SELECT
    p.stream_id AS stream_id,
    l.line_offset AS line_offset,
    p.flags AS flags,
    IF(p.codec = 0, p.end_offset, NULL) AS end_offset,
    1 AS line_count,
    0 AS codec,
    CAST(CONVERT(l.line USING latin1) AS BINARY) AS body,
    p.stored_at AS stored_at
FROM raw_packed AS p
JOIN JSON_TABLE(
    COALESCE(
        CASE p.codec
            WHEN 0 THEN CONCAT(
                '[[', p.line_offset, ',',
                JSON_QUOTE(CONVERT(CONVERT(p.body USING latin1) USING utf8mb4)), ']]'
            )
            WHEN 1 THEN CONVERT(UNCOMPRESS(p.body) USING utf8mb4)
        END,
        -- No JSON, and so an error: without it the lines of a pack that this server cannot unpack
        -- would be left out, and 0024 drops the pack.
        'a pack that this server cannot unpack'
    ),
    '$[*]' COLUMNS (
        line_offset BIGINT UNSIGNED PATH '$[0]',
        line LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[1]'
    )
) AS l
