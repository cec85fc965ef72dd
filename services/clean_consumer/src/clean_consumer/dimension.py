"""The tables of distinct texts that clean_log names by a key: user_agent and referrer."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Collection, Mapping
from typing import LiteralString, NamedTuple

from clean_consumer.enrichment import Describe
from clean_consumer.rows import next_id_of
from datastream.inserts import Insert, numbers, texts
from datastream.mysql import KEYS_AT_ONCE, Session, Transaction, assert_there

logger = logging.getLogger(__name__)

#: How many written keys a process remembers: those of a flood are forgotten again.
REMEMBERED = 20_000
#: How many rows that were stored without a description get one in a batch.
COMPLETED_AT_ONCE = 20
#: Seconds until the table is looked at again, once there were no such rows.
NEXT_LOOK = 10.0


class Table(NamedTuple):
    """A table of texts with the columns that derive from each."""

    name: str
    insert: Insert
    #: Finds rows that were stored without a description: `LIMIT %s`.
    undescribed: LiteralString
    complete: LiteralString
    #: The texts under some keys, and how many of the keys there are: `IN %s`.
    stored: LiteralString
    present: LiteralString
    #: How many texts are described in a batch; the others are later.
    described_at_once: int


USER_AGENTS = Table(
    name="user_agent",
    insert=Insert(
        """
        INSERT INTO user_agent ({columns}) VALUES {values}
        ON DUPLICATE KEY UPDATE user_agent_id = user_agent_id
        """,
        {
            "user_agent_id": numbers,
            "user_agent": texts,
            "browser": texts,
            "browser_version": texts,
            "system": texts,
            "device": texts,
            "is_bot": numbers,
        },
    ),
    undescribed="""
        SELECT user_agent_id, user_agent FROM user_agent WHERE is_bot IS NULL LIMIT %s
    """,
    complete="""
        UPDATE user_agent
        SET browser = %s, browser_version = %s, `system` = %s, device = %s, is_bot = %s
        WHERE user_agent_id = %s
    """,
    stored="SELECT user_agent_id, user_agent FROM user_agent WHERE user_agent_id IN %s",
    present="SELECT COUNT(*) FROM user_agent WHERE user_agent_id IN %s",
    # Half a millisecond each at the worst, hostile ones included.
    described_at_once=50,
)

REFERRERS = Table(
    name="referrer",
    insert=Insert(
        """
        INSERT INTO referrer ({columns}) VALUES {values}
        ON DUPLICATE KEY UPDATE referrer_id = referrer_id
        """,
        {"referrer_id": numbers, "referrer": texts, "host": texts, "kind": texts},
    ),
    undescribed="""
        SELECT referrer_id, referrer FROM referrer WHERE kind IS NULL LIMIT %s
    """,
    complete="""
        UPDATE referrer SET host = %s, kind = %s WHERE referrer_id = %s
    """,
    stored="SELECT referrer_id, referrer FROM referrer WHERE referrer_id IN %s",
    present="SELECT COUNT(*) FROM referrer WHERE referrer_id IN %s",
    # Some microseconds each, so all of a batch.
    described_at_once=10_000,
)


class Dimension:
    """Writes each distinct text once, with its description, before the rows that name it.

    Its key is a hash, and clients can make texts that share one: the first that is stored has the
    key, and another one gets the next free key of its own.
    """

    def __init__(
        self,
        session: Session,
        table: Table,
        describe: Describe | None,
        collided: Callable[[str], None] = lambda _table: None,
    ) -> None:
        """Without `describe`, those columns stay NULL until a consumer that has it fills them.

        `collided(table)` is called for each text that is stored under another key.
        """
        self._session = session
        self._table = table
        self._describe = describe
        self._collided = collided
        self._ended = session.ended
        #: For each key that is a text's hash: Python's own hash of the text. That differs in every
        #: process, so clients cannot make two texts that share it.
        self._written: dict[int, int] = {}
        #: The key of each text that is stored under another one.
        self._elsewhere: dict[str, int] = {}
        self._look_at = 0.0

    def ensure(self, texts: Mapping[str, int]) -> dict[str, int]:
        """Commit the texts, each with its key, that are new to this session.

        Returns the texts that are stored under another key, with that key: usually none. However
        many are new, only a bounded number is described now. Raises RowRefused, Unavailable.
        """
        if self._ended != self._session.ended:
            self._ended = self._session.ended
            self.forget()
        written = self._written
        new = sorted(
            (key, text)
            for text, key in texts.items()
            if written.get(key) != hash(text) and text not in self._elsewhere
        )
        if new:
            self._store(new)
        if self._describe is not None and time.monotonic() >= self._look_at:
            self._complete(self._describe)
        if not self._elsewhere:
            return {}
        return {text: self._elsewhere[text] for text in texts if text in self._elsewhere}

    def assert_there(self, transaction: Transaction, keys: Collection[int]) -> None:
        """Raise Vanished unless the table still has each of the keys."""
        assert_there(transaction, self._table.name, self._table.present, keys)

    def forget(self) -> None:
        """Forget which texts are written."""
        self._written.clear()
        self._elsewhere.clear()

    def check(self) -> None:
        """Raise Unavailable unless the table is there and may be read."""
        with self._session.transaction() as transaction:
            transaction.select(self._table.undescribed, (0,))

    def _store(self, new: list[tuple[int, str]]) -> None:
        at_once = self._table.described_at_once if self._describe else 0
        described = {text for _, text in new[:at_once]}
        elsewhere: dict[str, int] = {}
        with self._session.transaction() as transaction:
            asked = new
            for attempt in itertools.count(1):
                taken = self._insert(transaction, asked, described)
                if not taken:
                    break
                asked = sorted((next_id_of(text, attempt), text) for _, text in taken)
                elsewhere |= {text: key for key, text in asked}
        if len(self._written) + len(self._elsewhere) + len(new) > REMEMBERED:
            self.forget()
        self._written.update((key, hash(text)) for key, text in new if text not in elsewhere)
        self._elsewhere |= elsewhere
        for text, key in elsewhere.items():
            self._collided(self._table.name)
            logger.warning(
                "Two texts have one key, and the second is stored under another one",
                extra={"table": self._table.name, "key": key, "text": text},
            )
        if len(new) > at_once:
            self._look_at = 0.0

    def _insert(
        self, transaction: Transaction, asked: list[tuple[int, str]], described: Collection[str]
    ) -> list[tuple[int, str]]:
        """Store texts under keys, and return those whose key another text has."""
        rows = dict(reversed(asked))  # the first text of each key
        if transaction.insert(self._table.insert, self._described(rows, described)) == len(asked):
            return []
        keys = list(rows)
        for start in range(0, len(keys), KEYS_AT_ONCE):
            part = keys[start : start + KEYS_AT_ONCE]
            rows.update(transaction.select(self._table.stored, (part,)))
        return [(key, text) for key, text in asked if rows[key] != text]

    def _described(
        self, rows: Mapping[int, str], described: Collection[str]
    ) -> list[tuple[object, ...]]:
        blank = [None] * (len(self._table.insert.columns) - 2)
        return [
            (key, text, *(self._describe(text) if self._describe and text in described else blank))
            for key, text in sorted(rows.items())
        ]

    def _complete(self, describe: Describe) -> None:
        """Describe some texts that a batch left over, or an older version stored.

        Two consumers may describe the same ones: the result is the same.
        """
        with self._session.transaction() as transaction:
            found = sorted(transaction.select(self._table.undescribed, (COMPLETED_AT_ONCE,)))
            for key, value in found:
                transaction.execute(self._table.complete, (*describe(value), key))
        if len(found) < COMPLETED_AT_ONCE:
            self._look_at = time.monotonic() + NEXT_LOOK
