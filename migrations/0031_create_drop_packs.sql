-- depends: 0030_create_grow_pack
-- The second step of merging neighbours: those after the first go, if it holds their lines byte for
-- byte, and each is to be seen there. A text that the server would cut is not compared, and nothing
-- changes. So whoever may call both can lose no line by them.

CREATE PROCEDURE IF NOT EXISTS drop_packs(
    IN of_stream BIGINT UNSIGNED,
    IN grown_pack BIGINT UNSIGNED,
    IN first_pack BIGINT UNSIGNED,
    IN last_pack BIGINT UNSIGNED
)
SQL SECURITY DEFINER
DELETE FROM raw_pack
WHERE stream_id = of_stream
    AND line_offset BETWEEN first_pack AND last_pack
    AND grown_pack < first_pack
    AND (
        SELECT inside.text FROM (
            SELECT GROUP_CONCAT(
                line_offset, ' ', flags, ' ', HEX(line) ORDER BY line_offset
            ) AS text
            FROM raw_log
            WHERE stream_id = of_stream AND pack = grown_pack AND line_offset >= first_pack
        ) AS inside
    ) = (
        SELECT whole.text FROM (
            SELECT GROUP_CONCAT(
                line_offset, ' ', flags, ' ', HEX(line) ORDER BY line_offset
            ) AS text, COUNT(*) AS seen, SUM(2 * LENGTH(line) + 48) AS room
            FROM raw_log
            WHERE stream_id = of_stream AND pack BETWEEN first_pack AND last_pack
        ) AS whole
        WHERE whole.room < LEAST(@@group_concat_max_len, @@max_allowed_packet)
            AND whole.seen = (
                SELECT held.count FROM (
                    SELECT SUM(line_count) AS count FROM raw_pack
                    WHERE stream_id = of_stream
                        AND line_offset BETWEEN first_pack AND last_pack
                ) AS held
            )
    )
