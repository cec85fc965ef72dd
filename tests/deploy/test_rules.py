"""Prometheus itself accepts the rules and every expression, and the rules' own tests pass."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import expressions
import yaml

IMAGE = os.environ.get("PROMETHEUS_IMAGE", "local/prometheus")


def promtool(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run promtool in a folder: this machine's, or else the one in Prometheus's image."""
    command = ["promtool"]
    if shutil.which("promtool") is None:
        mount = f"type=bind,source={folder},target={folder},readonly"
        command = ["docker", "run", "--rm", "--network=none", "--mount", mount]
        command += ["--workdir", str(folder), "--entrypoint", "promtool", IMAGE]
    return subprocess.run(  # arguments are this module's
        [*command, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


def test_prometheus_accepts_its_settings_and_the_rules() -> None:
    """The settings load, and the rules that they name do."""
    checked = promtool(expressions.RULES, "check", "config", "prometheus.yml")

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_rules_do_what_their_tests_say() -> None:
    """Each alert fires when it should, and only then."""
    files = sorted(f"tests/{path.name}" for path in (expressions.RULES / "tests").glob("*.yml"))

    tested = promtool(expressions.RULES, "test", "rules", *files)

    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_every_expression_of_the_boards_is_promql(tmp_path: Path) -> None:
    """Each one parses."""
    rules = [
        {"record": f"expression:{number}", "expr": text}
        for number, (_, text) in enumerate(expressions.promql())
    ]
    tmp_path.chmod(0o755)
    file = tmp_path / "all.rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))

    checked = promtool(tmp_path, "check", "rules", "--lint=none", file.name)

    assert checked.returncode == 0, checked.stdout + checked.stderr
