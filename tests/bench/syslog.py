"""rsyslog, to compare with: imfile to ommysql as it comes. Where it is installed."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

from bench.corpus import Log
from deployment import Deployment, eventually

PLACES = "/usr/sbin:/usr/bin:/usr/local/sbin"
MODULES = ("/usr/lib", "/usr/lib64", "/usr/local/lib")

#: The table of its documentation, which its own template fills.
TABLE = """
    CREATE TABLE SystemEvents (
        ID INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, CustomerID BIGINT,
        ReceivedAt DATETIME, DeviceReportedTime DATETIME, Facility SMALLINT, Priority SMALLINT,
        FromHost VARCHAR(60), Message TEXT, NTSeverity INT, Importance INT,
        EventSource VARCHAR(60), EventUser VARCHAR(60), EventCategory INT, EventID INT,
        EventBinaryData TEXT, MaxAvailable INT, CurrUsage INT, MinUsage INT, MaxUsage INT,
        InfoUnitID INT, SysLogTag VARCHAR(60), EventLogType VARCHAR(60),
        GenericFileName VARCHAR(60), SystemID INT
    )
"""

CONFIGURATION = """\
global(workDirectory="{folder}" maxMessageSize="64k")
module(load="imfile")
module(load="ommysql")
input(type="imfile" file="{log}" tag="bench" ruleset="lines")
ruleset(name="lines") {{
    action(type="ommysql" server="{host}" serverport="{port}"
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
    """Return how many lines a second rsyslogd stores of a log, each as it is, unparsed."""
    deployment.query(TABLE)
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
            password=mysql.password.read(),
        )
    )
    command = [rsyslogd, "-n", "-f", str(configuration), "-i", str(folder / "pid")]
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)
    try:
        counts: list[tuple[float, int]] = []

        def counted(least: int) -> None:
            found = deployment.query("SELECT COALESCE(MAX(ID), 0) FROM SystemEvents")[0][0]
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
