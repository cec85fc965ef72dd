"""A plugin of pytest that judges mutants: each is run against the tests that enter its function.

Every run is a fork of a process that has collected the tests and run none of them, so that no test
is collected twice, and nothing that one run leaves behind is there in another.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import resource
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from mutmut.mutation import trampoline

#: The environment's name for the file with the mutants' names, and for the one with the verdicts.
MUTANTS, VERDICTS = "MUTANTS_FILE", "VERDICTS_FILE"
#: What mutmut reads to know which mutant is to run.
CHOSEN = "MUTANT_UNDER_TEST"
#: A mutant that does not exist: mutmut then tells which functions are entered.
STATISTICS = "stats"

#: Seconds of CPU of the tests that a mutant meets, the quickest first. One that none of these
#: notices counts as a survivor; so all are judged within the hour.
MOST_SECONDS = 3.0
#: Seconds of CPU, and bytes, after which a mutant is taken for one that never ends. The tests of a
#: function take far less; a mutant that ends by one of these is killed.
LEAST_SECONDS, TIMES_LONGER = 5, 10
#: Seconds of any kind beyond those, for one that waits and uses none.
MOST_WAITING = 60
MOST_BYTES = 4 * 1024**3

KILLED, SURVIVED, TIMEOUT, UNTESTED = "killed", "survived", "timeout", "no test enters it"


@pytest.hookimpl(trylast=True)
def pytest_configure() -> None:
    """Draw few examples, and the same ones for each mutant."""
    hypothesis.settings.register_profile(
        "mutants",
        max_examples=5,
        phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),  # to fail is enough
        derandomize=True,
        database=None,
        deadline=None,
    )
    hypothesis.settings.load_profile("mutants")


def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Judge every mutant in place of running the tests once."""
    if session.config.option.collectonly or session.testsfailed:
        return None
    gc.freeze()  # what the forks share stays shared
    try:
        entered = _entered(session.items)
    except ChildProcessError:
        pytest.exit("the tests fail on the code as it is", returncode=1)
    names = Path(os.environ[MUTANTS]).read_text(encoding="utf-8").split()
    with Path(os.environ[VERDICTS]).open("w", encoding="utf-8") as said:
        for count, (name, verdict) in enumerate(_verdicts(session.items, names, entered), 1):
            said.write(f"{name} {verdict}\n")
            said.flush()
            if sys.stderr.isatty():
                sys.stderr.write(
                    f"\r{count:5} of {len(names)} mutants" + "\n" * (count == len(names))
                )
    return True


#: For each function, the tests that enter it, the quickest first, each with its seconds of CPU.
_Entered = dict[str, list[tuple[float, int]]]


def _entered(items: list[pytest.Item]) -> _Entered:
    """Run all tests once. Raises ChildProcessError when one fails."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(read)
        with os.fdopen(write, "w") as pipe:
            found: _Entered = defaultdict(list)
            functions: set[str] = set()
            # Not by the environment: the tests that start a process would have it tell as well.
            trampoline.get_mutant_under_test = lambda: STATISTICS
            trampoline.record_trampoline_hit = lambda name, **_: functions.add(name)
            for number, item in enumerate(items):
                functions.clear()
                began = time.process_time()
                if _fails([item]):
                    os.write(2, f"\n{item.nodeid} fails\n".encode())
                    os._exit(1)
                for function in functions:
                    found[function].append((time.process_time() - began, number))
            json.dump({function: sorted(tests) for function, tests in found.items()}, pipe)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    if os.waitpid(pid, 0)[1]:
        raise ChildProcessError
    entered: _Entered = json.loads(text)
    return entered


def _fails(items: list[pytest.Item]) -> bool:
    """Run some tests and return whether one fails; none is run after that."""
    for item, following in zip(items, [*items[1:], None], strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if item.session.testsfailed:
            return True
    return False


def _verdicts(
    items: list[pytest.Item], names: list[str], entered: _Entered
) -> Iterator[tuple[str, str]]:
    """Yield each mutant with what became of it; as many run at once as there are processors."""
    running: dict[int, str] = {}
    for name in names:
        tests = _first(entered.get(name.rpartition("__mutmut_")[0], []))
        if not tests:
            yield name, UNTESTED
            continue
        if len(running) == (os.cpu_count() or 1):
            yield _ended(running)
        seconds = LEAST_SECONDS + TIMES_LONGER * sum(seconds for seconds, _ in tests)
        chosen = [items[number] for _, number in tests]
        running[_fork(name, seconds, chosen)] = name
    while running:
        yield _ended(running)


def _first(tests: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """Return the quickest of some tests, as many as may be run for one mutant, and at least one."""
    total = itertools.accumulate(seconds for seconds, _ in tests)
    return [
        each for each, so_far in zip(tests, total, strict=True) if so_far < MOST_SECONDS
    ] or tests[:1]


def _fork(name: str, seconds: float, tests: list[pytest.Item]) -> int:
    """Start a process that ends with 1 when the mutant is noticed, else with 0."""
    pid = os.fork()
    if pid:
        return pid
    os.environ[CHOSEN] = name
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.alarm(int(MOST_WAITING + seconds))
    code = 1
    try:
        code = int(_fails(tests))
    finally:
        os._exit(code)


def _ended(running: dict[int, str]) -> tuple[str, str]:
    """Wait for one and return its name and what became of it."""
    pid, status = os.wait()
    name = running.pop(pid)
    if os.WIFSIGNALED(status):
        return name, TIMEOUT
    return name, KILLED if os.WEXITSTATUS(status) else SURVIVED
