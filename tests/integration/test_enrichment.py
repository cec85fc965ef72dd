"""What the clean consumer adds to lines, as a process on real servers."""

from __future__ import annotations

from pathlib import Path

import mmdb
from deployment import Deployment

LINE = (
    b'%s - - [10/Oct/2026:13:55:36 +0200] "GET /a.css?b=%d HTTP/1.1" 200 512'
    b' "https://www.google.com/" "Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Firefox/120.0"\n'
)
ROWS = """
    SELECT flat.ip, flat.country, flat.city, c.asn, c.file_type, r.kind, a.browser, a.is_bot
    FROM clean_log AS c
    JOIN clean_log_flat AS flat
        ON flat.id = CONCAT(LPAD(HEX(c.stream_id), 16, '0'), '-', c.line_offset)
    JOIN referrer AS r USING (referrer_id)
    JOIN user_agent AS a USING (user_agent_id)
    ORDER BY flat.url
"""
FLAT = """
    SELECT DISTINCT path, file_type, browser, `system`, is_bot, referrer_host, log_path
    FROM clean_log_flat
"""


def test_rows_say_where_from_and_by_what_and_a_new_database_is_taken_up(
    deployment: Deployment, tmp_path: Path
) -> None:
    """The columns and the view are filled; a database that is replaced counts for what follows."""
    folder, log = tmp_path / "places", tmp_path / "access.log"
    folder.mkdir()
    mmdb.write(folder / "city.mmdb", {"192.0.2.0/24": mmdb.city("SE", "Lund")})
    mmdb.write(folder / "asn.mmdb", {"192.0.2.0/24": {"autonomous_system_number": 64500}})
    deployment.start("lake_consumer").wait_ready()
    clean = deployment.start("clean_consumer", GEOIP_DIR=str(folder))
    clean.wait_ready()
    log.write_bytes(LINE % (b"192.0.2.7", 1))
    deployment.publish_once(log)
    deployment.assert_settled(1)

    mmdb.write(folder / "city.mmdb", {"192.0.2.0/24": mmdb.city("SE", "Malmö")})
    with log.open("ab") as file:
        file.write(LINE % (b"192.0.2.7", 2) + LINE % (b"2001:db8::1", 3))
    deployment.publish_once(log)
    deployment.assert_settled(3)

    assert deployment.query(FLAT) == [
        ("/a.css", "css", "Firefox", "Linux", 0, "www.google.com", str(log))
    ]
    same = ("css", "search", "Firefox", 0)
    assert deployment.query(ROWS) == [
        ("192.0.2.7", "SE", "Lund", 64500, *same),
        ("192.0.2.7", "SE", "Malmö", 64500, *same),
        ("2001:db8::1", None, None, None, *same),
    ]


def test_what_is_not_to_be_kept_is_in_no_table_of_the_clean_side(
    deployment: Deployment, tmp_path: Path
) -> None:
    """An address is one of its network, a query string is nowhere; the lake has the line."""
    log = tmp_path / "access.log"
    line = (LINE % (b"192.0.2.7", 1)).replace(b"google.com/", b"google.com/?q=secret")
    log.write_bytes(line)
    deployment.start("lake_consumer").wait_ready()
    clean = deployment.start(
        "clean_consumer", PRIVACY_ADDRESSES="truncated", PRIVACY_QUERIES="drop"
    )
    clean.wait_ready()
    deployment.publish_once(log)
    deployment.assert_settled(1)

    assert deployment.raw_lines() == [line.removesuffix(b"\n")]
    assert deployment.query("SELECT ip, url FROM clean_log_flat") == [("192.0.2.0", "/a.css")]
    assert deployment.query("SELECT query FROM clean_log") == [(None,)]
    assert deployment.query("SELECT referrer FROM referrer") == [("https://www.google.com/",)]
