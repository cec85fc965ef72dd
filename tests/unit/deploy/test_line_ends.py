"""What shells read has the line ends that they understand, wherever it is checked out."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_scripts_end_their_lines_alike_on_every_system() -> None:
    """A checkout on Windows gives containers no script that ends its lines with a return."""
    scripts = [
        str(file.relative_to(ROOT))
        for pattern in ("Makefile", "deploy/bin/*", "deploy/**/*.sh", "services/**/*.py")
        for file in ROOT.glob(pattern)
        if file.is_file()
    ]
    command = ["git", "check-attr", "eol", "--", *scripts, "any/script.sh"]
    answer = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)

    assert any(name.startswith("deploy/bin/") for name in scripts)
    assert {line.rpartition(": ")[2] for line in answer.stdout.splitlines()} == {"lf"}
