-- depends: 0025_drop_raw_line
-- From here on the lake consumer writes it.

ALTER TABLE raw_packed RENAME TO raw_pack
