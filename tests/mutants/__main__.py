"""`make mutants`: change the code in one place at a time, and see whether a test notices.

mutmut makes the mutants, and judge.py runs the tests against them. What is not changed: constants
of modules, properties, and the words of errors and log messages.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import libcst
from mutmut.mutation import diff_apply
from mutmut.mutation.file_mutation import mutate_file_contents

from mutants.expected import Change, expected
from mutants.judge import KILLED, MUTANTS, TIMEOUT, VERDICTS
from mutants.subjects import SUBJECTS

ROOT = Path(__file__).parents[2]
#: Per cent of the mutants that the tests must notice.
LEAST = 85.0

#: What is read by people alone: mutmut leaves these lines as they are.
WORDS = (
    r"^\s*raise (NotASlice|FormatError|StateError|StateInUse|ValueError|TypeError|Broken)\(",
    r"^\s*logger\.",
)
#: In the copy nothing is remembered between calls: mutmut changes no function that is decorated.
CACHE = re.compile(r"^@lru_cache\(.*\)\n(?=def )", re.MULTILINE)
#: Tests that something is remembered.
OF_CACHES = (
    "tests/unit/parsing/test_log_formats.py::test_a_format_is_compiled_once",
    "tests/unit/parsing/test_line_values.py::test_the_cache_of_times_is_bounded",
)


@dataclass
class Module:
    """A module with the verdicts on its mutants."""

    path: str
    verdicts: Counter[str] = field(default_factory=Counter)
    #: Those that no test noticed, each with its difference and the verdict.
    survivors: list[tuple[Change, str, str]] = field(default_factory=list)

    @property
    def counted(self) -> int:
        """How many mutants count: all but those that are expected to survive."""
        return self.verdicts.total() - self.verdicts["expected"]

    @property
    def killed(self) -> int:
        """How many the tests notice."""
        return self.verdicts[KILLED] + self.verdicts[TIMEOUT]


def main() -> int:
    """Judge the mutants of one module or of all, and return the exit code."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("module", nargs="?", help="one file or folder; all are judged without it")
    wanted = parser.parse_args().module
    known = expected()
    modules: list[Module] = []
    for subject in SUBJECTS:
        paths = [path for path in files_of(subject.modules) if not wanted or within(path, wanted)]
        if paths:
            with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
                modules += judge(paths, subject.tests, Path(folder), known)
    if not modules:
        parser.error(f"no such module is judged: {wanted}; see tests/mutants/subjects.py")
    return report(modules, known)


def files_of(paths: tuple[str, ...]) -> list[str]:
    """Return the modules that are in some files and folders."""
    found = [
        [path]
        if path.endswith(".py")
        else sorted(str(file.relative_to(ROOT)) for file in (ROOT / path).glob("*.py"))
        for path in paths
    ]
    return [path for each in found for path in each]


def within(path: str, wanted: str) -> bool:
    """Say whether a module is the one that is asked for, or in the folder that is."""
    return Path(path).is_relative_to(wanted)


def judge(
    paths: list[str], tests: tuple[str, ...], folder: Path, known: dict[Change, str]
) -> Iterator[Module]:
    """Yield each of some modules with the verdicts that the tests come to."""
    sources = folder / "src"
    for source in ROOT.glob("*/src"), ROOT.glob("*/*/src"):
        for each in source:
            shutil.copytree(each, sources, dirs_exist_ok=True)
    written = {path: mutate(path, sources, folder) for path in paths}
    names = [name for _, names in written.values() for name in names]
    verdicts = run(names, tests, folder)
    for path, (code, names) in written.items():
        module = Module(path)
        tree = libcst.parse_module(code)
        for name in names:
            verdict = verdicts[name]
            if verdict not in (KILLED, TIMEOUT):
                change, difference = difference_of(tree, name, path)
                if change in known:
                    verdict = "expected"
                module.survivors.append((change, difference, verdict))
            module.verdicts[verdict] += 1
        yield module


def mutate(path: str, sources: Path, folder: Path) -> tuple[str, list[str]]:
    """Put a module with all its mutants into the copy; return it and the mutants' names."""
    inner = path.partition("/src/")[2]
    code = CACHE.sub("", (ROOT / path).read_text(encoding="utf-8"))
    (folder / "setup.cfg").write_text(
        "[mutmut]\nsource_paths=src\ndo_not_mutate_patterns=\n  " + "\n  ".join(WORDS)
    )
    os.chdir(folder)  # where mutmut looks for its settings
    mutated = mutate_file_contents(path, code)
    (sources / inner).write_text(mutated.code, encoding="utf-8")
    package = inner.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return mutated.code, [f"{package}.{name}" for name in mutated.mutant_names]


def run(names: list[str], tests: tuple[str, ...], folder: Path) -> dict[str, str]:
    """Return the verdict on each mutant. Raises SystemExit when the tests fail without one."""
    asked, said = folder / "mutants", folder / "verdicts"
    asked.write_text("\n".join(names), encoding="utf-8")
    path = [str(folder / "src"), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "mutants.judge",
            "-p",
            "no:cacheprovider",
            "--assert=plain",
            "--tb=line",
            "-s",
            "--timeout=0",
            *(f"--deselect={test}" for test in OF_CACHES),
            *tests,
        ],
        cwd=ROOT,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(path), MUTANTS: str(asked), VERDICTS: str(said)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if not said.exists():
        sys.exit(f"{done.stdout}\nthe tests do not pass on the code as it is: {' '.join(tests)}")
    lines = said.read_text(encoding="utf-8").splitlines()
    return {name: verdict for name, _, verdict in (line.partition(" ") for line in lines)}


def difference_of(tree: libcst.Module, name: str, path: str) -> tuple[Change, str]:
    """Return what a mutant changes, and the same for people."""
    mangled = name.rpartition(".")[2]
    before, after = (
        libcst.Module([function]).code.strip().splitlines()
        for function in (
            diff_apply.read_original_function(tree, mangled),
            diff_apply.read_mutant_function(tree, mangled),
        )
    )
    lines = list(difflib.unified_diff(before, after, lineterm="", n=2))[2:]
    removed, added = (
        "\n".join(line[1:].strip() for line in lines if line[0] == sign) for sign in "-+"
    )
    return Change(path, removed, added), f"{mangled}\n" + "\n".join(lines)


def report(modules: list[Module], known: dict[Change, str]) -> int:
    """Print the survivors, the shares, and the entries that are out of date."""
    lines: list[str] = []
    for module in modules:
        for change, difference, verdict in module.survivors:
            if verdict != "expected":
                lines += [f"\n{change.module}: {verdict}", difference]
    lines += ["", f"{'killed':>8} {'of':>5} {'share':>7}  {'expected':>8}  module"]
    for module in modules:
        lines.append(row(module.killed, module.counted, module.verdicts["expected"], module.path))
    killed, counted = sum(m.killed for m in modules), sum(m.counted for m in modules)
    lines.append(row(killed, counted, sum(m.verdicts["expected"] for m in modules), "in all"))
    seen = {change for module in modules for change, _, _ in module.survivors}
    judged = {module.path for module in modules}
    stale = [change for change in known if change.module in judged and change not in seen]
    for change in stale:
        lines += [f"\nexpected.toml: no mutant of {change.module} is this any more, or it dies:"]
        lines += [f"- {change.before}", f"+ {change.after}"]
    gone = {change.module for change in known if not (ROOT / change.module).exists()}
    lines += [f"\nexpected.toml: there is no {path}" for path in sorted(gone)]
    share = 100 * killed / counted if counted else 100.0
    if share < LEAST:
        lines.append(f"\n{share:.1f} % is less than {LEAST:.0f} %.")
    sys.stdout.write("\n".join(lines) + "\n")
    return int(share < LEAST or bool(stale) or bool(gone))


def row(killed: int, counted: int, expected: int, name: str) -> str:
    """Return a line of the table."""
    share = f"{100 * killed / counted:.1f} %" if counted else "-"
    return f"{killed:8} {counted:5} {share:>7}  {expected:8}  {name}"


if __name__ == "__main__":
    sys.exit(main())
