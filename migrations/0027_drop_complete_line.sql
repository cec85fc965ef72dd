-- depends: 0026_rename_raw_packed_to_raw_pack
-- It is made anew by the next migration, for packs.

DROP PROCEDURE IF EXISTS complete_line
