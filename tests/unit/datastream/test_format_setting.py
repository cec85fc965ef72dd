"""The setting FORMAT, from wherever it comes to what a slice carries."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from datastream.config import ConfigError, Environment
from datastream.format_setting import format_of, read_format
from datastream.slices import HEADER_LIMITS
from env_files import DIRECTIVE, DIRECTIVES, MAIN

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", DIRECTIVES)
def test_a_directive_stands_in_an_env_file_as_in_nginx_conf(tmp_path: Path, name: str) -> None:
    """Its quotes, its dollars and its lines are kept, and so are the settings around it."""
    dotenv = tmp_path / ".env"
    text, form = DIRECTIVES[name]
    dotenv.write_bytes(text.encode())
    env = Environment.load(dotenv)

    assert read_format(env) == form
    assert (env.text("SOURCE"), env.text("LOG_PATH")) == ("web", "/a")


@pytest.mark.parametrize(("given", "said"), [([f"FORMAT={MAIN}"], MAIN), ([], "unset")])
def test_make_hands_over_the_directive(given: list[str], said: str) -> None:
    """What is given on the command line of make reaches the command as it is, and only that."""
    command = ["make", "-s", "--eval", 'said: ; @printf "%s" "$${FORMAT-unset}"', "said", *given]
    environment = {"PATH": os.environ["PATH"]}

    found = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )

    assert found.stdout == said


def test_the_text_of_a_directive_stands_in_quotes_in_an_env_file(tmp_path: Path) -> None:
    """A dollar sign begins a variable there, as for Docker Compose, but in single quotes."""
    dotenv = tmp_path / ".env"
    dotenv.write_text("FORMAT='$msec ${status} \"$request\"'\n")
    env = Environment.load(dotenv)

    assert read_format(env) == "log_format custom '$msec ${status} \"$request\"';"
    dotenv.write_text('FORMAT=$msec ${status} "$request"\n')
    with pytest.raises(ConfigError, match=r"line 1: the variable msec is not set; a dollar sign"):
        Environment.load(dotenv)


def test_a_format_in_a_file(tmp_path: Path) -> None:
    """FORMAT_FILE holds the directive; FORMAT may name a nginx.conf, and a format in it."""
    conf = tmp_path / "nginx.conf"
    conf.write_text(f"http {{\n    {DIRECTIVE}\n}}\n")
    held = tmp_path / "format"
    held.write_text(DIRECTIVE)

    assert read_format(Environment({"FORMAT": f"{conf}:main"})) == MAIN
    assert read_format(Environment({"FORMAT_FILE": str(held)})) == MAIN
    assert format_of(f" cri  {conf}:main", "FORMAT") == f"cri {MAIN}"
    with pytest.raises(ConfigError, match="no log_format other is in it; there are main"):
        format_of(f"{conf}:other", "FORMAT")
    with pytest.raises(ConfigError, match=r"FORMAT names .*none.conf, which cannot be read"):
        format_of(f"{tmp_path}/none.conf:main", "FORMAT")


@pytest.mark.parametrize("text", ["combined", " auto ", "error +02:00", "proxy", "cri proxy"])
def test_a_name_is_taken_as_it_is(text: str) -> None:
    """It is what slices carry; auto is for the producer to find out."""
    assert format_of(text, "FORMAT") == text.strip()
    assert read_format(Environment({})) == read_format(Environment({"FORMAT": " "})) == "auto"


def test_the_place_is_marked() -> None:
    """Whoever starts a service sees what is wrong with the format, and where."""
    with pytest.raises(ConfigError) as caught:
        format_of("log_format x '$msec $host$status';", "FORMAT")

    first, shown, caret = str(caught.value).splitlines()
    assert first.startswith("FORMAT: nothing stands between $host and $status")
    assert shown[caret.index("^") :].startswith("$status")


def test_a_format_that_no_slice_can_carry() -> None:
    """It is refused at start, not by a consumer."""
    with pytest.raises(ConfigError, match="a format has up to 4,096"):
        format_of(f"$msec {'x' * HEADER_LIMITS['format']}", "FORMAT")


@pytest.mark.parametrize("prefix", ["", "rfc3164 "])
@pytest.mark.parametrize("name", ["main", "combined"])
def test_trusted_proxies_follow_a_format_in_a_file(tmp_path: Path, prefix: str, name: str) -> None:
    """As they follow one that is written out."""
    conf = tmp_path / "nginx.conf"
    conf.write_text(f"http {{\n    {DIRECTIVE}\n}}\n")
    alone = format_of(f"{prefix}{conf}:{name}", "FORMAT")
    trusted = "set_real_ip_from 192.0.2.0/24; set_real_ip_from 2001:db8::/32;"

    assert format_of(f"{prefix}{conf}:{name} {trusted}", "FORMAT") == f"{alone} {trusted}"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("haproxy", "haproxy_http"),
        ("nginx", "combined unless its nginx.conf names a log_format"),
        ("json", "log_format json escape=json '{"),
        ("rsyslog", "rfc3164 combined"),
        ("docker", "docker_json combined"),
        ("docker combined", "docker_json combined"),
        ("Apache", "combined, common or vhost_combined"),
        ("Combined", "did you mean combined?"),
        ("rfc3164 auto", "it finds rfc3164 as well. Write auto alone"),
        ("auto Europe/Paris", "as in error Europe/Paris"),
        (r'"%h %l %u %t \"%r\" %>s %b" common', "LogFormat.*FORMAT=common reads its lines"),
        (
            '%v %h %u %t "%r" %>s %{Host}i',
            r"LogFormat.*FORMAT=log_format custom '\$server_name \$remote_addr .*\$http_host';",
        ),
        ("%h %r", "written as a log_format it would be .*but the format has no time"),
    ],
)
def test_what_people_write_is_answered(given: str, said: str) -> None:
    """With the name of here, or what to write."""
    with pytest.raises(ConfigError, match=f"FORMAT.*{said}" if "LogFormat" in said else said):
        format_of(given, "FORMAT")


def test_a_configuration_without_a_name(tmp_path: Path) -> None:
    """The log_formats that it has are named."""
    conf = tmp_path / "nginx.conf"
    conf.write_text(f"http {{ {MAIN} log_format other '$msec'; }}")

    with pytest.raises(ConfigError, match=rf"main, other\. Write {conf}:main, say"):
        format_of(str(conf), "FORMAT")
    with pytest.raises(ConfigError, match=rf"main, other\. Write {conf}:main, say"):
        format_of(f"{conf}:", "FORMAT")
    conf.write_text("http { }")
    with pytest.raises(ConfigError, match="has no log_format: nginx then writes combined"):
        format_of(f"cri {conf}", "FORMAT")
