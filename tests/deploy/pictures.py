"""Takes the README's pictures of both boards, over the demo's made-up traffic: `make pictures`.

It brings up a demo of its own in containers and waits until it has run for so many MINUTES, 10 by
default. The boards are drawn by Grafana's own components (tests/drawing).
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from deploy import images as images_of
from deploy.live import answered, sources
from deploy.stack import Stack, image_settings
from deployment import eventually
from drawing import browser
from drawing.answers import Times

FOLDER = browser.ROOT / "docs" / "pictures"
#: Pixels of a picture: what a laptop shows at once.
WIDTH, HEIGHT = 1366, 768
#: Bytes that a picture in the repository has at most.
LIMIT = 200_000


def shown(stack: Stack, minutes: int) -> Times:
    """Wait until there are so many minutes of requests, and return them."""

    def there() -> Times:
        ((first, last),) = stack.query(
            "SELECT UNIX_TIMESTAMP(MIN(time)), UNIX_TIMESTAMP(MAX(time)) FROM clean_log"
        )
        assert first is not None, "there is no request yet"
        assert last - first >= 60 * minutes, f"there are {last - first} seconds of requests"
        return Times(int(last) - 60 * minutes, int(last))

    return eventually(there, 60 * minutes + 300)


def main() -> int:
    """Take the pictures; return the exit code."""
    minutes = int(os.environ.get("MINUTES", "10"))
    with images_of.engine(), tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder), images_of.choose(image_settings()), "grafana", settings={})
        try:
            stack.script("deploy", DEMO="1")
            times = shown(stack, minutes)
            boards = [answered(name, times, sources(stack)) for name in ("ingestion", "traffic")]
        finally:
            stack.destroy()
        drawn = browser.draw(boards, Path(folder), (WIDTH,), HEIGHT)
        for picture, board in zip(drawn, boards, strict=True):
            taken = picture.path.read_bytes()
            sys.stdout.write(f"{board.name}: {len(taken):,} bytes\n")
            if len(taken) > LIMIT or picture.faults():
                sys.stdout.write("\n".join(["it is not kept", *picture.faults(), ""]))
                return 1
            FOLDER.mkdir(exist_ok=True)
            (FOLDER / f"{board.name}.png").write_bytes(taken)
    return 0


if __name__ == "__main__":
    sys.exit(main())
