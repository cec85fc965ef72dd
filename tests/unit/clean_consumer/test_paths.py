"""The type of the file that a path names."""

from __future__ import annotations

import pytest

from clean_consumer.paths import file_type


@pytest.mark.parametrize(
    ("path", "type_"),
    [
        ("/a/b.min.CSS", "css"),
        ("/index.html", "html"),
        ("/music.mp3", "mp3"),
        ("/a.7z", "7z"),
        ("/", None),
        ("/a/b", None),
        ("/a.b/c", None),
        ("/.env", None),
        ("/api/v1.2", None),
        ("/a.", None),
        ("/a.php%00", None),
        ("/a.jsp;id=1", None),
        ("/a.é", None),
        ("/a." + "x" * 17, None),
        ("/a." + "x" * 16, "x" * 16),
    ],
)
def test_the_extension_is_the_type(path: str, type_: str | None) -> None:
    """In lower case; of a directory, a hidden file or a number there is none."""
    assert file_type(path) == type_
