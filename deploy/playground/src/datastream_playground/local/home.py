"""RabbitMQ's own folder, with links to what is installed, but for the plugins that do not run.

A start looks for each of a thousand modules in the folder of one plugin after the other, and there
are 70: `python -m bench.starting` says what it saves to leave out those that nobody enables.
"""

from __future__ import annotations

import shutil
from pathlib import Path

#: What the names of all optional plugins begin with; the others are the broker and its libraries.
OPTIONAL = "rabbitmq_"
#: The optional ones that run: the management API, and what it and the broker rest on.
PLUGINS = frozenset(
    {
        "rabbitmq_management",
        "rabbitmq_management_agent",
        "rabbitmq_prelaunch",
        "rabbitmq_web_dispatch",
    }
)


def make(server: Path, home: Path) -> bool:
    """Make `home` anew for the script `server` of an installation.

    Returns False, and leaves nothing there, where the plugins are not beside the scripts: then
    RabbitMQ runs as it is installed.
    """
    installed = server.resolve().parent.parent
    shutil.rmtree(home, ignore_errors=True)
    if not (installed / "plugins").is_dir():
        return False
    (home / "plugins").mkdir(parents=True)
    for folder in installed.iterdir():
        if folder.name != "plugins":
            (home / folder.name).symlink_to(folder)
    for plugin in (installed / "plugins").iterdir():
        name = plugin.name.partition("-")[0]
        if name in PLUGINS or not name.startswith(OPTIONAL):
            (home / "plugins" / plugin.name).symlink_to(plugin)
    return True
