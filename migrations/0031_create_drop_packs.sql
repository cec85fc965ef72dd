-- depends: 0030_create_grow_pack
-- The second step of merging neighbours: those after the first go, if it holds their lines byte for
-- byte. So whoever may call both can lose no line by them.

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
            SELECT GROUP_CONCAT(line_offset, ' ', HEX(line) ORDER BY line_offset) AS text
            FROM raw_log
            WHERE stream_id = of_stream AND pack = grown_pack AND line_offset >= first_pack
        ) AS inside
    ) = (
        SELECT whole.text FROM (
            SELECT GROUP_CONCAT(line_offset, ' ', HEX(line) ORDER BY line_offset) AS text
            FROM raw_log
            WHERE stream_id = of_stream AND pack BETWEEN first_pack AND last_pack
        ) AS whole
    )
