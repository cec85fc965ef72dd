"""A deployment is lost with its machine, and brought back from its backup."""

from __future__ import annotations

from pathlib import Path

from datastream.topology import CLEAN_QUEUE
from deploy.stack import SERVICES, Stack, docker, growing, run
from deployment import eventually, lines_of


def test_a_backup_brings_everything_back(stack: Stack, log: Path, tmp_path: Path) -> None:
    """Taken while lines are written and slices wait; what came after it is read from the log."""
    lines = [line + b"\n" for line in lines_of(log)][:1_000]
    docker("stop", *stack.containers("clean_consumer"))
    # Beside them are deploy's own notes, in hidden files: which containers it left, for one.
    secrets = {path.name: path.read_text() for path in stack.secrets.glob("[!.]*")}
    with growing(log, lines):
        with stack.broker("operator") as connection:
            channel = connection.channel()

            def waiting() -> None:
                assert channel.queue_declare(CLEAN_QUEUE, passive=True).method.message_count > 1

            eventually(waiting)
        said = stack.script("backup", TO=str(tmp_path))

        def goes_on() -> None:
            assert stack.ready("lake_consumer")
            assert stack.ready("producer")

        eventually(goes_on)
    after_the_backup = sum(1 for _ in lines_of(log))
    with growing(log, lines):
        stack.script("destroy", YES="1")
        (backup,) = tmp_path.iterdir()
        stack.script("restore", FROM=str(backup))

    stack.assert_settled(sum(1 for _ in lines_of(log)))
    assert str(backup) in said
    assert backup.stat().st_mode & 0o077 == 0
    assert {path.name: path.read_text() for path in stack.secrets.glob("[!.]*")} == secrets
    assert after_the_backup < sum(1 for _ in lines_of(log))
    eventually(lambda: _all_ready(stack))
    program = str(stack.checkout / "deploy" / "bin" / "datastream")
    verified = run(program, "verify", str(log), env=stack.environment)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "exact: " in verified.stdout


def _all_ready(stack: Stack) -> None:
    assert all(stack.ready(service) for service in SERVICES)


def test_a_restore_removes_nothing_that_is_there(stack: Stack, tmp_path: Path) -> None:
    """It names what is in the way; so does a folder that holds no backup."""
    stack.script("backup", TO=str(tmp_path))
    (backup,) = tmp_path.iterdir()
    containers = stack.containers()

    over = stack.try_script("restore", FROM=str(backup))
    nothing = stack.try_script("restore", FROM=str(tmp_path))

    assert "there is a deployment already" in over.stderr
    assert "is no backup: it has no env" in nothing.stderr
    assert (over.returncode, nothing.returncode) == (1, 1)
    assert stack.containers() == containers
    eventually(lambda: _all_ready(stack))
