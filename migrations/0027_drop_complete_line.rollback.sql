CREATE PROCEDURE IF NOT EXISTS complete_line(
    IN of_stream BIGINT UNSIGNED,
    IN at_offset BIGINT UNSIGNED,
    IN new_flags TINYINT UNSIGNED,
    IN new_line MEDIUMBLOB
)
SQL SECURITY DEFINER
UPDATE raw_log
SET flags = new_flags, line = new_line
WHERE stream_id = of_stream
    AND line_offset = at_offset
    AND flags & 3 <> 0
    AND LEFT(new_line, LENGTH(line)) = line
