"""Prometheus itself accepts the rules and every expression, and the rules' own tests pass."""

from __future__ import annotations

import subprocess
from pathlib import Path

import expressions
import yaml


def promtool(
    images: dict[str, str], folder: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run the promtool of Prometheus's image in a folder."""
    mount = f"type=bind,source={folder},target={folder},readonly"
    command = ["docker", "run", "--rm", "--network=none", "--mount", mount]
    command += ["--workdir", str(folder), "--entrypoint", "promtool", images["PROMETHEUS_IMAGE"]]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)


def test_prometheus_accepts_its_settings_and_the_rules(images: dict[str, str]) -> None:
    """The settings load, and the rules that they name do."""
    checked = promtool(images, expressions.RULES, "check", "config", "prometheus.yml")

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_rules_do_what_their_tests_say(images: dict[str, str]) -> None:
    """Each alert fires when it should, and only then."""
    files = sorted(f"tests/{path.name}" for path in (expressions.RULES / "tests").glob("*.yml"))

    tested = promtool(images, expressions.RULES, "test", "rules", *files)

    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_every_expression_of_the_boards_is_promql(images: dict[str, str], tmp_path: Path) -> None:
    """Each one parses."""
    rules = [
        {"record": f"expression:{number}", "expr": text}
        for number, (_, text) in enumerate(expressions.promql())
    ]
    tmp_path.chmod(0o755)
    file = tmp_path / "all.rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))

    checked = promtool(images, tmp_path, "check", "rules", "--lint=none", file.name)

    assert checked.returncode == 0, checked.stdout + checked.stderr
