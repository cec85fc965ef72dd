"""Importing the packages."""

from __future__ import annotations

import subprocess
import sys

import pytest

MODULES = """
import importlib, pkgutil, socket, warnings
warnings.simplefilter("error")
def refuse(*_arguments, **_more):
    raise AssertionError("a module connects on import")
socket.socket.connect = refuse
packages = "producer", "lake_consumer", "clean_consumer", "datastream_operator"
for name in ("datastream", *packages, "datastream_playground"):
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        importlib.import_module(module.name)
"""


def test_every_module_can_be_imported() -> None:
    """None warns, none connects, none has an annotation that does not hold at run time."""
    done = subprocess.run([sys.executable, "-c", MODULES], capture_output=True, check=False)

    assert (done.returncode, done.stderr.decode()) == (0, "")


@pytest.mark.parametrize(
    "module",
    [
        "datastream.config",
        "datastream.consuming",
        "datastream.logs",
        "datastream.metrics",
        "datastream.mysql",
        "datastream.parsing",
        "datastream.rabbitmq",
        "datastream.ready",
        "datastream.retry",
        "datastream.service",
        "datastream.shutdown",
        "datastream.slices",
        "datastream.streams",
        "datastream.topology",
        "producer.__main__",
        "lake_consumer.__main__",
        "clean_consumer.__main__",
        "datastream_operator.__main__",
        "datastream_playground.visitors",
    ],
)
def test_a_module_can_be_the_first(module: str) -> None:
    """None rests on another one having been imported before it, or prints anything."""
    command = [sys.executable, "-W", "error", "-c", f"import {module}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
