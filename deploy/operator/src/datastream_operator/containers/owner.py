"""The account that a person names in .env, beside those of the deployment."""

from __future__ import annotations

from collections.abc import Container

from datastream.config import ConfigError, Environment


def read(env: Environment, server: str, taken: Container[str]) -> tuple[str, str] | None:
    """Return name and password of the person's account, or None where the settings name none.

    `server` is the settings' prefix, RABBIT or MYSQL; `taken` are the names it may not have.
    Raises ConfigError.
    """
    setting = f"{server}_USER"
    name, password = env.find(setting), env.find(f"{server}_PASSWORD")
    if name is None and password is None:
        return None
    if name is None or password is None:
        raise ConfigError(
            f"{setting} and {server}_PASSWORD: an account needs both. Set or leave both"
        )
    if name in taken:
        raise ConfigError(
            f"{setting} is {name!r}, which is an account of the deployment."
            f" Leave {setting} out, or choose another name"
        )
    return name, password
