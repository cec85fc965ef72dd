-- depends: 0029_create_raw_log_view
-- The first step of merging neighbours: the first of them takes the lines of all, if these are the
-- stored ones byte for byte, and before its end. A text that the server would cut is not compared:
-- then nothing changes.

CREATE PROCEDURE IF NOT EXISTS grow_pack(
    IN of_stream BIGINT UNSIGNED,
    IN first_pack BIGINT UNSIGNED,
    IN last_pack BIGINT UNSIGNED,
    IN new_end BIGINT UNSIGNED,
    IN new_count INT UNSIGNED,
    IN new_body MEDIUMBLOB
)
SQL SECURITY DEFINER
UPDATE raw_pack
SET
    end_offset = new_end, line_count = new_count, codec = 1, body = new_body,
    stored_at = (
        SELECT latest.at FROM (
            SELECT MAX(stored_at) AS at FROM raw_pack
            WHERE stream_id = of_stream AND line_offset BETWEEN first_pack AND last_pack
        ) AS latest
    )
WHERE stream_id = of_stream
    AND line_offset = first_pack
    AND flags & 3 = 0
    AND LEAST(@@group_concat_max_len, @@max_allowed_packet) > 4 * UNCOMPRESSED_LENGTH(new_body)
    AND (
        SELECT IF(
            COUNT(*) = new_count AND MAX(l.line_offset) <= new_end,
            GROUP_CONCAT(
                l.line_offset, ' ', HEX(CONVERT(l.line USING latin1)) ORDER BY l.line_offset
            ),
            NULL
        )
        FROM JSON_TABLE(
            CONVERT(UNCOMPRESS(new_body) USING utf8mb4),
            '$[*]' COLUMNS (
                line_offset BIGINT UNSIGNED PATH '$[0]',
                line LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[1]'
            )
        ) AS l
    ) = (
        SELECT whole.text FROM (
            SELECT GROUP_CONCAT(line_offset, ' ', HEX(line) ORDER BY line_offset) AS text
            FROM raw_log
            WHERE stream_id = of_stream AND pack BETWEEN first_pack AND last_pack
        ) AS whole
    )
