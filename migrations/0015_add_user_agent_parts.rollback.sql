ALTER TABLE user_agent
    DROP KEY /*M! IF EXISTS */ is_bot,
    DROP COLUMN /*M! IF EXISTS */ is_bot,
    DROP COLUMN /*M! IF EXISTS */ device,
    DROP COLUMN /*M! IF EXISTS */ `system`,
    DROP COLUMN /*M! IF EXISTS */ browser_version,
    DROP COLUMN /*M! IF EXISTS */ browser
