-- depends: 0029_create_drop_packs
-- The table that taking this back makes: every line as a row once more, with the room of that.

DROP TABLE IF EXISTS raw_line
