"""One producer, many logs, each with a format and a source of its own."""

from __future__ import annotations

import re
from pathlib import Path

from deployment import Deployment

ACCESS = b'192.0.2.7 - - [10/Oct/2000:13:55:36 +0000] "GET /%s HTTP/1.1" 200 512 "-" "-"\n'
ERROR = b"2000/10/10 13:55:36 [error] 7#7: *1 open() failed, client: 192.0.2.7\n"
JSON = (
    b'{"at":"2000-10-10T13:55:36+00:00","who":"192.0.2.7","asked":"GET /j HTTP/1.1","code":"200"}\n'
)
#: Which lines are of which log, and what became of them.
BY_LOG = """
    SELECT source, log_stream.path, COUNT(clean_log.stream_id), COUNT(error_log.stream_id)
    FROM raw_log JOIN log_stream USING (stream_id)
    LEFT JOIN clean_log USING (stream_id, line_offset)
    LEFT JOIN error_log USING (stream_id, line_offset)
    GROUP BY source, log_stream.path ORDER BY source, log_stream.path
"""
DIRECTIVE = """'''log_format api escape=json
    '{"at":"$time_iso8601","who":"$remote_addr","asked":"$request","code":"$status"}';'''"""


def test_many_logs_of_one_host(deployment: Deployment, tmp_path: Path) -> None:
    """Each is parsed as its table says, and told by columns that are there; nothing comes twice."""
    shop, blog = tmp_path / "shop.access.log", tmp_path / "blog.access.log"
    errors, api = tmp_path / "shop.error.log", tmp_path / "api.log"
    shop.write_bytes(ACCESS % b"shop" * 20)
    before = deployment.publish_once(shop, FORMAT="combined")
    shop.write_bytes(ACCESS % b"shop" * 30)
    blog.write_bytes(ACCESS % b"blog" * 20)
    errors.write_bytes(ERROR * 5)
    api.write_bytes(JSON * 4)
    config = tmp_path / "logs.toml"
    config.write_text(
        f"""
        source = "test"
        [[log]]
        path = "{tmp_path}/*.access.log"
        format = "auto"
        [[log]]
        path = "{errors}"
        format = "error UTC"
        [[log]]
        path = "{api}"
        format = {DIRECTIVE}
        source = "api"
        """
    )

    producer = deployment.start("producer", "--once", "--config", str(config))
    assert producer.wait() == 0, producer.text()
    deployment.start_consumers()
    deployment.assert_settled(59)

    assert before.text().count("Reading from the beginning") == 1
    assert re.search(r"Reading on where the checkpoint says.*shop\.access", producer.text())
    assert deployment.query(BY_LOG) == [
        ("api", str(api), 4, 0),
        ("test", str(blog), 20, 0),
        ("test", str(shop), 30, 0),
        ("test", str(errors), 0, 5),
    ]
    checked = deployment.operate("verify", "--config", str(config), *map(str, (shop, errors, api)))
    assert (checked.returncode, checked.stdout.count(": exact: ")) == (0, 3), checked.stdout
    again = deployment.operate("rewind", "--config", str(config))
    assert again.stdout.count("is read again from byte 0 on") == 4, again.stderr
    looked = deployment.operate("doctor", DATASTREAM_CONFIG=str(config))
    assert "4 files can be read" in looked.stdout
