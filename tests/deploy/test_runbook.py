"""What the runbook tells a person to look at can be pasted, and answers."""

from __future__ import annotations

import re
import subprocess

import pytest
from boards import runbook

from deploy.stack import Stack, run

PAGE = runbook.PAGE.read_text(encoding="utf-8")
#: What looks and changes nothing.
LOOKS = re.compile(
    r"`(docker compose -p data-stream (?:ps|logs|exec (?:rabbitmq rabbitmq|producer df))[^`]*"
    r"|deploy/bin/datastream (?:doctor|dead-letters list|--help))`"
)
COMMANDS = sorted({look for look in LOOKS.findall(PAGE) if "clear_" not in look})
QUERIES = [
    query
    for query in re.findall(r"```sql\n(.*?);", PAGE, re.DOTALL)
    if query.startswith(("SELECT", "SHOW"))
]
#: Of the doctor, where something needs attention.
ATTENTION = 3


def pasted(stack: Stack, command: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a shell in the checkout does."""
    here = command.replace("data-stream", stack.project, 1)
    return run(
        "/bin/sh", "-c", here, cwd=stack.checkout, env=stack.environment, stdin=subprocess.DEVNULL
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_looks_works_when_it_is_pasted(stack: Stack, command: str) -> None:
    """It finds what it names, and changes nothing."""
    ended = pasted(stack, command)

    said = ended.stdout + ended.stderr
    assert ended.returncode in ((0, ATTENTION) if "doctor" in command else (0,)), said
    assert said.strip() or "logs" in command


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_works_when_it_is_pasted(stack: Stack, query: str) -> None:
    """As the account that `make mysql` has."""
    assert isinstance(stack.query(query, account="grafana"), list)
