"""`make release` with its images, in a copy of the checkout."""

from __future__ import annotations

import uuid
from pathlib import Path

from datastream import __version__
from deploy.stack import docker
from releasing import Copy, assert_released

NAMES = ("producer", "lake-consumer", "clean-consumer", "operator", "playground")


def test_images_are_made_and_tried(images: dict[str, str], tmp_path: Path) -> None:
    """Each has the version for a tag and a label, runs without a network, and says so."""
    copy = Copy(tmp_path / "checkout")
    prefix = f"data-stream-release-{uuid.uuid4().hex[:6]}"

    try:
        released = copy.release(DATASTREAM_IMAGES=prefix, PYTHON_IMAGE=images["PYTHON_IMAGE"])

        assert released.returncode == 0, released.stdout + released.stderr
        assert_released(copy)
        made = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", f"{prefix}/*").split()
        assert sorted(made) == sorted(f"{prefix}/{name}:{__version__}" for name in NAMES)
        for name in ("producer", "clean-consumer", "datastream-operator", "visitors"):
            assert f"  {name} {__version__}, parser " in released.stdout
    finally:
        left = docker("image", "ls", "--quiet", f"{prefix}/*").split()
        if left:
            docker("image", "rm", "--force", *sorted(set(left)))
