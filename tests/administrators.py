"""What the administrators of the servers do with what `datastream accounts` prints."""

from __future__ import annotations

import subprocess

from containers import ContainerBroker
from deployment import Deployment


def run_sql(deployment: Deployment, script: str) -> str:
    """Run a script as the server's own client would, and return what the last statement says."""
    with deployment.database.connect() as connection, connection.cursor() as cursor:
        for line in script.splitlines():
            cursor.execute(line.removesuffix(";"))
        ((words,),) = cursor.fetchall()
    return str(words)


def run_shell(deployment: Deployment, script: str) -> None:
    """Run a script with the broker's rabbitmqctl."""
    broker = deployment.broker
    if isinstance(broker, ContainerBroker):
        broker.execute("sh", "-c", script)
        return
    env = broker.environment()
    tools = broker.programs.rabbitmq_server.parent
    done = subprocess.run(
        ["/bin/sh"],
        input=script,
        env=env | {"PATH": f"{tools}:{env['PATH']}"},
        cwd=broker.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
