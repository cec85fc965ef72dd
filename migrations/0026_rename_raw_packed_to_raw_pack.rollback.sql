ALTER TABLE raw_pack RENAME TO raw_packed
