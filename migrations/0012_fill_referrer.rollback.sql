DELETE FROM referrer
