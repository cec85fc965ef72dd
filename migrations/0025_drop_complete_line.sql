-- depends: 0024_keep_raw_pack
-- It is made anew by the next migration, for packs.

DROP PROCEDURE IF EXISTS complete_line
