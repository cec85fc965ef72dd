"""How much of the machine the private servers may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    """What the servers' settings say of memory."""

    #: Lines of rabbitmq.conf, and flags of Erlang.
    broker: str
    erlang: str
    #: Lines of my.cnf: of both products, and of MariaDB alone.
    database: str
    mariadb: str
    #: Environment of the database.
    environment: tuple[tuple[str, str], ...] = ()


# Beside the services, on whatever machine a person has. `python -m bench --small` says what it
# saves and costs. The write-ahead log's entries are in memory until it is full. One scheduler has
# one set of allocators, which keep nothing that they have freed (+MMmcs 0).
SMALL = Size(
    broker="raft.wal_max_size_bytes = 16777216\n",
    erlang="+S 1:1 +A 1 +SDio 1 +MMmcs 0",
    database="innodb-buffer-pool-size = 16M\ninnodb-log-buffer-size = 4M\nkey-buffer-size = 1M\n",
    mariadb="aria-pagecache-buffer-size = 1M\n",
    # Otherwise each thread keeps what it has freed to itself.
    environment=(("MALLOC_ARENA_MAX", "1"),),
)

# For measurements of rates: the servers are never what is short of memory.
LARGE = Size(
    broker="raft.wal_max_size_bytes = 67108864\n",
    erlang="",
    database="innodb-buffer-pool-size = 256M\n",
    mariadb="",
)
