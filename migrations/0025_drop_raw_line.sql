-- depends: 0024_rename_raw_line_to_raw_packed
-- The copy that taking this back makes: every line as a row once more, with the room of that.

DROP TABLE IF EXISTS raw_line
