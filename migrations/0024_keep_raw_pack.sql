-- depends: 0023_add_pack_columns
-- Changes nothing. What takes it back drops the packs, whose lines are in raw_line by then: see the
-- last of these migrations.

UPDATE raw_pack SET flags = flags WHERE stream_id IS NULL
