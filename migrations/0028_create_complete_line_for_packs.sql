-- depends: 0027_drop_complete_line
-- The one change that a stored line may see: a beginning (1, without its newline yet; 2, over a
-- limit) is replaced by a line that goes on from it. Whoever may call this needs no right to update
-- raw_pack, and has none.

CREATE PROCEDURE IF NOT EXISTS complete_line(
    IN of_stream BIGINT UNSIGNED,
    IN at_offset BIGINT UNSIGNED,
    IN new_flags TINYINT UNSIGNED,
    IN new_line MEDIUMBLOB,
    IN new_end BIGINT UNSIGNED
)
SQL SECURITY DEFINER
UPDATE raw_pack
SET flags = new_flags, body = new_line, end_offset = new_end
WHERE stream_id = of_stream
    AND line_offset = at_offset
    AND codec = 0
    AND flags & 3 <> 0
    AND new_end >= at_offset
    AND LEFT(new_line, LENGTH(body)) = body
