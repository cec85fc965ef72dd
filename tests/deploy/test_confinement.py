"""What a container may do, and that no secret is to be seen."""

from __future__ import annotations

from deploy.images import assert_small_and_labelled
from deploy.stack import Stack, docker, run


def test_every_container_is_confined(stack: Stack) -> None:
    """None is root, writes its image, has capabilities or may gain any, or is without a limit."""
    for container in stack.inspect():
        name, host = container["Name"], container["HostConfig"]
        assert container["Config"]["User"].split(":")[0] not in ("", "0", "root"), name
        assert host["ReadonlyRootfs"], name
        assert host["CapDrop"] == ["ALL"], name
        assert not host["CapAdd"], name
        others = [text for text in host["SecurityOpt"] if not text.startswith("label=type:")]
        assert others == ["no-new-privileges:true"], name
        assert host["Memory"] > 0, name
        assert host["PidsLimit"] > 0, name
        assert host["LogConfig"]["Config"].keys() == {"max-size", "max-file"}, name
        assert not host["Privileged"], name


def test_a_process_of_each_container_is_no_root(stack: Stack) -> None:
    """What runs is what was asked for."""
    for container in stack.inspect():
        if container["State"]["Running"]:
            processes = docker("top", container["Id"], "-eo", "pid,uid").splitlines()[1:]
            assert "0" not in {line.split()[1] for line in processes}, container["Name"]


def test_every_port_is_this_machine_s_alone(stack: Stack) -> None:
    """What is published is published on the loopback interface."""
    for container in stack.inspect():
        for bindings in container["HostConfig"]["PortBindings"].values():
            assert {binding["HostIp"] for binding in bindings} == {"127.0.0.1"}


def test_the_images_are_small_and_say_what_they_are(stack: Stack) -> None:
    """Each is well under 200 MB and has the labels of the Open Container Initiative."""
    for name in ("producer", "lake-consumer", "clean-consumer", "operator"):
        assert_small_and_labelled(stack.image(name))


def test_the_operator_s_image_has_no_playground(stack: Stack) -> None:
    """No installer and no made-up log is in it; who asks for the demo is told where that is."""
    image = stack.image("operator")
    command = "docker", "run", "--rm", "--network", "none", "--entrypoint", "python3", image
    found = run(
        *command, "-c", "import importlib.util as u; print(u.find_spec('datastream_playground'))"
    )

    demo = run(*command, "-m", "datastream_operator", "demo", "--lines", "5")

    assert found.stdout == "None\n"
    assert (demo.returncode, demo.stdout) == (2, "")
    assert "datastream-playground" in demo.stderr


def test_no_secret_is_to_be_seen(stack: Stack) -> None:
    """No password is in what docker tells, in an image, a log, a command line or the settings."""
    containers = stack.containers()
    images = docker("image", "ls", "--quiet", f"{stack.project}/*").split()
    logs = [run("docker", "logs", container) for container in containers]
    shown = {
        "docker inspect": docker("inspect", *containers, *images),
        "docker history": "".join(docker("history", "--no-trunc", image) for image in images),
        "the logs": "".join(log.stdout + log.stderr for log in logs),
        "the command lines": run("ps", "-eww", "-o", "args").stdout,
        "the scripts' output": stack.script("status") + stack.script("logs", FOLLOW="no"),
    }
    secrets = {path.name: path.read_text().strip() for path in stack.secrets.iterdir()}
    passwords = {
        name: text for name, text in secrets.items() if name.endswith(("_password", "_key"))
    }
    assert len(passwords) > 10

    for where, text in shown.items():
        assert [name for name, password in passwords.items() if password in text] == [], where
    own = {
        name: text
        for name, text in passwords.items()
        if name not in ("rabbit_password", "mysql_password")
    }
    assert [name for name, text in own.items() if text in stack.env_file.read_text()] == []


def test_the_secrets_are_in_a_folder_for_their_owner_alone(stack: Stack) -> None:
    """The folder is closed; a file in it is for whoever it is mounted for."""
    assert stack.secrets.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in stack.secrets.iterdir()} == {0o444}
