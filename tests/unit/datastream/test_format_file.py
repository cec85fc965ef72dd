"""A log_format by its name, in a configuration of nginx."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from datastream.config import ConfigError
from datastream.format_file import format_in
from datastream.format_setting import format_of
from datastream.parsing import PRESETS, FormatError

MAIN = "log_format main '$msec $status';"

NGINX_CONF = """
user www-data;
# log_format main '$msec out';
http {
    init_by_lua_block { local it = "what's this } " -- isn't it }
    }
    log_format  main  '$remote_addr - $remote_user [$time_local] "$request" '
                      '$status $body_bytes_sent "$http_referer" '   # a comment; with 'quotes'
                      '"$http_user_agent" "$http_x_forwarded_for"';
    log_format json escape=json '{"time":"$time_iso8601","status":$status}';
    log_format odd '[$time_local] $request_time$pipe';
    server { location / { return 200 "log_format no '$no';"; } }
}
"""


def written(folder: Path, files: Mapping[str, str]) -> Path:
    """Write these files and return the path of nginx.conf."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "nginx.conf"


def refused(folder: Path, files: Mapping[str, str], name: str = "main") -> FormatError:
    """Return why there is no such format."""
    with pytest.raises(FormatError) as caught:
        format_in(written(folder, files), name)
    return caught.value


def test_a_format_is_found_by_its_name(tmp_path: Path) -> None:
    """Wherever it stands; what is commented out, or in a text or in code, is none."""
    conf = written(tmp_path, {"nginx.conf": NGINX_CONF})

    assert format_of(f"{conf}:main", "FORMAT") == f"log_format main '{PRESETS['main']}';"
    assert format_of(f"{conf}:json", "FORMAT").startswith("log_format json escape=json '{")
    assert format_of(f"{conf}:combined", "FORMAT") == "combined"
    with pytest.raises(ConfigError, match="no log_format no is in it; there are main, json, odd"):
        format_of(f"{conf}:no", "FORMAT")
    with pytest.raises(ConfigError, match="FORMAT: nothing stands between") as caught:
        format_of(f"{conf}:odd", "FORMAT")
    assert "$request_time$pipe" in str(caught.value)


@pytest.mark.parametrize(
    "conf",
    [
        "http { log_format main '$msec $status'; }",
        "http{log_format main '$msec' ' ' $status;}",
        "http\n{\nlog_format\n\n  main\n  '$msec '\n'$status'\n;\n}\n",
        "http {\r\n\tlog_format # the name:\r\n\tmain # and\r\n\t'$msec $status' ;\r\n}\r\n",
        "http { log_format 'main' '$msec $status'; }",
        'http { log_format "main" "$msec $status"; }',
        "http { # log_format main '$msec';\n log_format main '$msec $status'; }",
        "http { log_format other '$msec'; log_format main '$msec $status'; }",
        "events { } http { server { } log_format main '$msec $status'; }",
        "stream { log_format main '$msec'; } http { log_format main '$msec $status'; }",
        "http { log_format main '$msec $status'; } stream { log_format main '$msec'; }",
        "stream { log_format main '$msec $status'; }",
        "stream { log_format main '$msec $status'; } http { log_format other '$msec'; }",
        MAIN,
        "http { server { log_format main '$msec'; } log_format main '$msec $status'; }",
        "http { map $a $b { log_format main; } log_format main '$msec $status'; }",
        "http { log_format main '$msec $status'; an unreadable 'rest",
    ],
)
def test_the_format_that_nginx_would_take(tmp_path: Path, conf: str) -> None:
    """However it is written; that of `http {}`, if both have one of that name."""
    path = written(tmp_path, {"nginx.conf": conf})

    assert format_of(f"{path}:main", "FORMAT") == MAIN


def test_a_name_of_several_words(tmp_path: Path) -> None:
    """It is in quotes in what is written."""
    path = written(tmp_path, {"nginx.conf": "http { log_format 'my own' '$msec'; }"})

    assert format_of(f"{path}:my own", "FORMAT") == "log_format 'my own' '$msec';"


@pytest.mark.parametrize(
    "files",
    [
        {"nginx.conf": "http { include formats.conf; }", "formats.conf": MAIN},
        {"nginx.conf": "http { include 'formats.conf'; }", "formats.conf": MAIN},
        {"nginx.conf": "include all.conf;", "all.conf": f"http {{ {MAIN} }}"},
        {
            "nginx.conf": "http { include conf.d/*.conf; }",
            "conf.d/a.conf": "log_format other '$msec';",
            "conf.d/b.conf": MAIN,
            "conf.d/c.txt": "log_format main '$msec';",
        },
        {"nginx.conf": "http { include conf.d/[b]?.conf; }", "conf.d/b1.conf": MAIN},
        # Relative to the folder of nginx.conf, wherever the include stands.
        {
            "nginx.conf": "http { include conf.d/*.conf; }",
            "conf.d/a.conf": "include formats/main.conf;",
            "formats/main.conf": MAIN,
        },
        {
            "nginx.conf": "stream { include formats.conf; } http { include http.conf; }",
            "formats.conf": "log_format main '$msec';",
            "http.conf": MAIN,
        },
        {"nginx.conf": "stream { include formats.conf; }", "formats.conf": MAIN},
        # The same file in both.
        {
            "nginx.conf": "stream { include formats.conf; } http { include formats.conf; }",
            "formats.conf": MAIN,
        },
        # A pattern may match no file, and a block of another kind holds none.
        {"nginx.conf": f"http {{ include none/*.conf; {MAIN} }}"},
        {
            "nginx.conf": f"http {{ server {{ include a.conf; }} {MAIN} }}",
            "a.conf": "log_format main '$msec';",
        },
        # What cannot be read, where the format is elsewhere.
        {"nginx.conf": f"http {{ include none.conf; {MAIN} }}"},
    ],
)
def test_what_is_included(tmp_path: Path, files: Mapping[str, str]) -> None:
    """As nginx includes it."""
    path = written(tmp_path, files)

    assert format_of(f"{path}:main", "FORMAT") == MAIN


def test_an_absolute_include(tmp_path: Path) -> None:
    """It is taken as it is, a pattern too."""
    other = tmp_path / "other"
    files = {
        "nginx.conf": f"http {{ include {other}/a.conf; }}",
        "other/a.conf": f"include {other}/*.inc;",
        "other/b.inc": MAIN,
    }

    assert format_in(written(tmp_path, files), "main") == MAIN


@pytest.mark.parametrize(
    ("files", "includer"),
    [
        ({"nginx.conf": "http { include nginx.conf; }"}, "nginx.conf"),
        ({"nginx.conf": "include a.conf;", "a.conf": "include b.conf;", "b.conf": "include a*;"},
         "b.conf"),
        ({"nginx.conf": "http { include d/../nginx.conf; }", "d/x": ""}, "nginx.conf"),
        ({"nginx.conf": "http { include a.conf; }", "a.conf": "include a.conf;"}, "a.conf"),
    ],
)  # fmt: skip
def test_files_that_include_each_other(
    tmp_path: Path, files: Mapping[str, str], includer: str
) -> None:
    """It is an error, not an endless search, and says where."""
    error = refused(tmp_path, files)

    assert "includes itself" in str(error)
    assert str(error).startswith(f"{tmp_path}/{includer}:1: ")
    assert "include" in error.marked.splitlines()[1]


def test_a_link_that_goes_round(tmp_path: Path) -> None:
    """It cannot be read."""
    (tmp_path / "a.conf").symlink_to("a.conf")

    error = refused(tmp_path, {"nginx.conf": "http { include a.conf; }"})

    assert f"{tmp_path}/a.conf" in str(error)


@pytest.mark.parametrize("block", ["http", "stream"])
def test_what_cannot_be_read_is_named(tmp_path: Path, block: str) -> None:
    """Each file, with who includes it and why not: the format may be in it."""
    (tmp_path / "folder.conf").mkdir()
    files = {
        "nginx.conf": "\nhttp { include a.conf; include *r.conf; }",
        "a.conf": "\n\ninclude none.conf;",
    }
    if block == "stream":
        files["nginx.conf"] += "stream { log_format main '$msec'; }"

    message = str(refused(tmp_path, files))

    assert message.startswith("no log_format main is in what could be read; ")
    assert f"{tmp_path}/a.conf:3 includes {tmp_path}/none.conf: No such file" in message
    assert f"{tmp_path}/nginx.conf:2 includes {tmp_path}/folder.conf: Is a directory" in message


def test_a_mistake_in_a_file_that_is_included(tmp_path: Path) -> None:
    """The file and the line are named, and the place is marked."""
    files = {"nginx.conf": "http { include a.conf; }", "a.conf": "a b;\n  c 'd;\n"}

    error = refused(tmp_path, files)

    assert str(error) == f"{tmp_path}/a.conf:2: this quote has no end"
    assert error.marked.splitlines()[1:] == ["      c 'd;", "        ^"]


def test_bytes_that_are_no_utf_8(tmp_path: Path) -> None:
    """They are written as in the events: a slice can carry them, and they fit a line's bytes."""
    path = tmp_path / "nginx.conf"
    path.write_bytes(b"http { # \xe9\n log_format main '$msec caf\xe9 $status'; }")

    assert format_of(f"{path}:main", "FORMAT") == r"log_format main '$msec caf\\xe9 $status';"
