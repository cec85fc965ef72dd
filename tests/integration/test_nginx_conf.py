"""What a real nginx takes for a configuration, against what we do."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import nginx
from datastream.config import ConfigError
from datastream.format_setting import format_of
from datastream.parsing import canonical

#: What nginx has nothing against in a log_format, and we have.
OURS = ("nothing stands between", "has no time", "has no variable", "has no format after its name")

PIECES = st.sampled_from(
    [
        "$msec",
        "${status}",
        "$MSEC",
        " ",
        "\n",
        "\\",
        "-",
        "a",
        "}",
        "{",
        "'",
        '"',
        ";",
        "#",
        "$",
        "${",
    ]
)
TEXTS = st.lists(PIECES, min_size=1, max_size=6).map("".join)
ARGUMENTS = st.one_of(
    TEXTS.map(lambda text: "'" + text.replace("'", "") + "'"),
    TEXTS.map(lambda text: '"' + text.replace('"', "") + '"'),
    TEXTS,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for configurations."""
    folder = tmp_path_factory.mktemp("nginx")
    (folder / "more").mkdir()
    return folder


def is_taken(folder: Path, http: str) -> bool:
    """Return whether nginx takes this for its `http {}`, which nginx.conf is left with."""
    (folder / "a.conf").write_text(http)
    (folder / "nginx.conf").write_text(
        f"pid {folder}/pid; error_log {folder}/error.log; events {{ }} http {{ include a.conf; }}"
    )
    command = [nginx.binary(), "-t", "-q", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(ARGUMENTS, min_size=1, max_size=4).map(" ".join))
@example("'$msec ' '$status'")
@example("'${msec' '}'")
@example("'$' 'msec'")
@example("$msec${status}{")
@example("a\x0b\u00a0$msec")
def test_what_nginx_takes_is_read(folder: Path, text: str) -> None:
    """A log_format whose arguments are anything: nothing is refused but for our own reasons."""
    if is_taken(folder, f"log_format x {text};\n"):
        try:
            format_of(f"{folder}/nginx.conf:x", "FORMAT")
        except ConfigError as error:
            assert any(ours in str(error) for ours in OURS), error  # noqa: PT017 - most are read


@pytest.mark.parametrize(
    "text",
    [
        "'$msec $'",
        "'$msec ${'",
        "'${msec' '}'",
        "'$' 'msec'",
        "'${a-b}'",
        "'${}'",
        "'$msec $-'",
        "'$msec",
    ],
)
def test_what_we_cannot_read_is_refused_by_nginx(folder: Path, text: str) -> None:
    """It is no log_format at all."""
    assert not is_taken(folder, f"log_format x {text};\n")
    with pytest.raises(ConfigError):
        format_of(f"{folder}/nginx.conf:x", "FORMAT")


def test_a_file_that_includes_itself_is_refused_by_nginx(folder: Path) -> None:
    """It finds no end to it, nor may we."""
    assert not is_taken(folder, "include a.conf;")
    with pytest.raises(ConfigError, match="includes itself"):
        format_of(f"{folder}/nginx.conf:x", "FORMAT")


def test_includes_are_relative_to_the_first_file(folder: Path) -> None:
    """Not to the file that they stand in."""
    (folder / "more" / "b.conf").write_text("include more/c.conf;")
    (folder / "more" / "c.conf").write_text("log_format 'my own' '$msec' '';")

    assert is_taken(folder, "include more/b*.conf; access_log off; access_log /dev/null 'my own';")
    assert format_of(f"{folder}/nginx.conf:my own", "FORMAT") == "log_format 'my own' '$msec';"


def test_every_format_of_a_running_nginx_is_found(tmp_path: Path) -> None:
    """In the files that it reads, and as its directive says."""
    with nginx.serving(tmp_path):
        for name, directive in nginx.formats().items():
            found = format_of(f"{tmp_path}/nginx.conf:{name}", "FORMAT")
            assert found == canonical(directive)
