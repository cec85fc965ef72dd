-- depends: 0028_create_complete_line_for_packs
-- The lines of all packs as rows. Both servers put a key that is asked for (line_offset = 5) in the
-- place of l.line_offset below, and so find the one pack by raw_pack's key: no pack's last line
-- begins more than 1 MiB after its first. For a range of lines, name one of packs too: its first
-- line is within 1 MiB before.

CREATE OR REPLACE ALGORITHM = MERGE VIEW raw_log AS
SELECT
    p.stream_id AS stream_id,
    l.line_offset AS line_offset,
    p.flags AS flags,
    CAST(CONVERT(l.line USING latin1) AS BINARY) AS line,
    p.stored_at AS stored_at,
    p.line_offset AS pack
FROM raw_pack AS p
JOIN JSON_TABLE(
    IF(
        p.codec = 0,
        CONCAT(
            '[[', p.line_offset, ',',
            JSON_QUOTE(CONVERT(CONVERT(p.body USING latin1) USING utf8mb4)), ']]'
        ),
        CONVERT(UNCOMPRESS(p.body) USING utf8mb4)
    ),
    '$[*]' COLUMNS (
        line_offset BIGINT UNSIGNED PATH '$[0]',
        line LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[1]'
    )
) AS l
    ON p.line_offset <= l.line_offset
    AND p.line_offset >= IF(l.line_offset > 1048576, l.line_offset - 1048576, 0)
    AND COALESCE(p.end_offset, l.line_offset) >= l.line_offset
