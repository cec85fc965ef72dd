"""The private broker's own folder: what is installed, but for the plugins that do not run."""

from __future__ import annotations

from pathlib import Path

from datastream_playground.local import home


def installation(folder: Path, *plugins: str) -> Path:
    """Install a RabbitMQ with these plugins; return the script, behind a link as Debian has it."""
    installed = folder / "lib" / "rabbitmq_server-3.10.8"
    for name in ("sbin", "escript", *(f"plugins/{plugin}" for plugin in plugins)):
        (installed / name).mkdir(parents=True)
    (installed / "sbin" / "rabbitmq-server").touch()
    link = folder / "bin" / "rabbitmq-server"
    link.parent.mkdir()
    link.symlink_to(installed / "sbin" / "rabbitmq-server")
    return link


def names(folder: Path) -> set[str]:
    """Return the names in a folder, each of something that is there."""
    return {path.name for path in folder.iterdir() if path.exists()}


def test_optional_plugins_that_do_not_run_are_left_out(tmp_path: Path) -> None:
    """The broker, every library and the management are there, with all that is no plugin."""
    kept = {"rabbit-3.10.8", "ra-2.2.0", "rabbitmq_management-3.10.8", "rabbitmq_prelaunch-3.10.8"}
    server = installation(tmp_path, *kept, "rabbitmq_mqtt-3.10.8", "rabbitmq_stream-3.10.8")

    for _ in range(2):
        assert home.make(server, tmp_path / "home")

    assert names(tmp_path / "home") == {"sbin", "escript", "plugins"}
    assert names(tmp_path / "home" / "plugins") == kept
    assert (tmp_path / "home" / "sbin" / "rabbitmq-server").exists()


def test_an_installation_of_another_shape_is_left_as_it_is(tmp_path: Path) -> None:
    """Nothing is made, nor is what an earlier version made kept."""
    server = installation(tmp_path)
    (tmp_path / "home" / "plugins").mkdir(parents=True)

    assert not home.make(server, tmp_path / "home")

    assert not (tmp_path / "home").exists()
