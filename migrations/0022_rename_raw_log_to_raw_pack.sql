-- depends: 0021_show_path_agent_and_referrer
-- Its rows become the first packs, of one line each: nothing is copied.

ALTER TABLE raw_log RENAME TO raw_pack
