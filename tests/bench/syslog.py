"""rsyslog, to compare with: imfile to ommysql, raw lines alone. Where it is installed."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

from bench.corpus import Log
from deployment import Deployment, eventually

PLACES = "/usr/sbin:/usr/bin:/usr/local/sbin"
MODULES = ("/usr/lib", "/usr/lib64", "/usr/local/lib")

CONFIGURATION = """\
global(workDirectory="{folder}" maxMessageSize="64k")
module(load="imfile")
module(load="ommysql")
template(name="row" type="string" option.sql="on"
    string="INSERT INTO rsyslog_line (line) VALUES ('%msg%')")
input(type="imfile" file="{log}" tag="bench" ruleset="lines")
ruleset(name="lines") {{
    action(type="ommysql" template="row" server="{host}" serverport="{port}"
        db="{database}" uid="{user}" pwd="{password}")
}}
"""


def program() -> str | None:
    """Return rsyslogd, when it is installed with its output to MySQL."""
    found = shutil.which("rsyslogd", path=PLACES)
    plugins = (
        path for root in MODULES for path in Path(root).glob("**/rsyslog/ommysql.so") if found
    )
    return found if next(plugins, None) else None


def measure(deployment: Deployment, log: Log, rsyslogd: str) -> float:
    """Return how many lines a second rsyslogd stores of a log, in a table of one column."""
    deployment.query(
        "CREATE TABLE rsyslog_line (id BIGINT AUTO_INCREMENT PRIMARY KEY, line MEDIUMBLOB)"
    )
    folder = deployment.folder / "rsyslog"
    folder.mkdir()
    mysql = deployment.mysql
    configuration = folder / "rsyslog.conf"
    configuration.write_text(
        CONFIGURATION.format(
            folder=folder,
            log=log.path,
            host=mysql.host,
            port=mysql.port,
            database=mysql.database,
            user=mysql.user,
            password=mysql.password,
        )
    )
    command = [rsyslogd, "-n", "-f", str(configuration), "-i", str(folder / "pid")]
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)
    try:
        counts: list[tuple[float, int]] = []

        def counted(least: int) -> None:
            found = deployment.query("SELECT COALESCE(MAX(id), 0) FROM rsyslog_line")[0][0]
            counts.append((time.monotonic(), int(found)))
            assert process.poll() is None, (folder / "said").read_text()
            assert found >= least

        # From its first rows on: what it takes to start is not its rate.
        eventually(lambda: counted(1))
        begin, lines_before = counts[-1]
        eventually(lambda: counted(log.lines))
        end, lines = counts[-1]
        return (lines - lines_before) / (end - begin)
    finally:
        process.terminate()
        process.wait()
