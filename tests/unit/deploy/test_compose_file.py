"""What the Compose file names of this machine and of others: files, their labels, images."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "deploy" / "docker-compose.yml").read_text(encoding="utf-8")
FILES = sorted((ROOT / "deploy").glob("docker-compose*.yml"))
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
READS_LOGS = "label=type:container_logreader_t"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_checkout_s_own_files_are_labelled_for_containers(file: Path) -> None:
    """Shared, since some are mounted into two: read-only, and z, which is not Z."""
    mounts = [
        volume
        for service in yaml.safe_load(file.read_text(encoding="utf-8"))["services"].values()
        for volume in service.get("volumes", ())
        if isinstance(volume, str) and volume.startswith("./")
    ]

    assert mounts
    assert [mount for mount in mounts if not mount.endswith(":ro,z")] == []


@pytest.mark.parametrize("name", ["producer", "operator"])
def test_the_log_s_folder_keeps_its_label(name: str) -> None:
    """Or the web server could not write there any more: the reader has a domain of its own."""
    (mount,) = (
        volume
        for volume in SERVICES[name]["volumes"]
        if isinstance(volume, dict) and "LOG_DIR" in volume["source"]
    )

    assert mount["bind"] == {"create_host_path": False}
    assert mount["read_only"] is True
    assert READS_LOGS in SERVICES[name]["security_opt"]


def test_no_other_container_reads_logs() -> None:
    """What may be read is named for whom it is."""
    readers = {name for name, one in SERVICES.items() if READS_LOGS in one.get("security_opt", ())}

    assert readers == {"producer", "operator"}


def test_the_page_names_the_images_that_are_pinned() -> None:
    """Each with its tag; none is left out."""
    page = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `([a-z/-]+)`[^|]*\| ([\w.-]+)", page, re.MULTILINE)
    pinned = re.findall(r"\$\{[A-Z_]+_IMAGE:-([^:}]+):([^}]+)\}", TEXT)

    assert len(pinned) >= 7
    assert set(pinned) - set(told) == set()
