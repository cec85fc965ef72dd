-- depends: 0023_add_pack_columns
-- What takes it back drops the packs, whose lines are in raw_line by then.

ALTER TABLE raw_line RENAME TO raw_packed
