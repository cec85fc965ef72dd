-- depends: 0017_create_error_log
-- It is made anew by the next migration: its first version took any flag for a beginning's.

DROP PROCEDURE IF EXISTS complete_line
