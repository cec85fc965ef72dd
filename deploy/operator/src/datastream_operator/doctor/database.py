"""The database: which accounts it lets in, what each may do, the schema, and the clock."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC

from datastream.config import MysqlSettings
from datastream.errors import Unavailable
from datastream.mysql import MAKE_ACCOUNTS, Session, Transaction
from datastream_operator import migrate
from datastream_operator.accounts.rights import Right
from datastream_operator.doctor import encryption, grants
from datastream_operator.doctor.report import Check, Report, State
from datastream_operator.doctor.settings import by_account, called

DATABASE, TLS, GRANTS, SCHEMA, CLOCK = "database", "database TLS", "grants", "schema", "clock"
DISK = "database disk"

START = "Start it, or correct MYSQL_HOST and MYSQL_PORT."
MIGRATE = "Run `datastream migrate`; in containers `make migrate`."
NO_DATABASE = "no database to ask"

#: Seconds that two clocks may differ.
APART = 1.0

ENCRYPTION = """
    SHOW SESSION STATUS WHERE variable_name IN ('Ssl_version', 'Ssl_cipher', 'Ssl_server_not_after')
"""


@dataclass(frozen=True, slots=True)
class Account:
    """What one account was told."""

    settings: MysqlSettings
    services: list[str]
    #: As GRANT names it, `lake`@`%`.
    name: str
    has: set[Right]
    is_mariadb: bool

    def missing(self) -> list[Right]:
        """Return what its services need and it has not."""
        return grants.missing(
            self.services, self.settings.database, self.has, is_mariadb=self.is_mariadb
        )

    def beyond(self) -> list[Right]:
        """Return what it has and its services do not need."""
        return grants.beyond(
            self.services, self.settings.database, self.has, is_mariadb=self.is_mariadb
        )

    def may_see_the_version(self) -> bool:
        """Whether it may read which migrations are applied."""
        noted = Right("SELECT", self.settings.database, migrate.NOTED_TABLE)
        return any(right.covers(noted) for right in self.has)


def examine(mysql: Mapping[str, MysqlSettings]) -> list[Check]:
    """Return the rows of the database, checked with the accounts given by service."""
    report = Report()
    if not mysql:
        names = (DATABASE, TLS, GRANTS, SCHEMA, CLOCK, DISK)
        report.skip(names, "no account in the settings: MYSQL_USER")
        return report.checks
    refused: list[tuple[str, Unavailable]] = []
    accounts: list[Account] = []
    first: list[Check] = []
    for settings, services in by_account(mysql).items():
        try:
            with closing(Session(settings, "datastream doctor")) as session:
                with session.transaction() as transaction:
                    accounts.append(_account(transaction, settings, services))
                if not first:
                    with session.transaction() as transaction:
                        first = [_encryption(transaction, settings), _clock(transaction)]
        except Unavailable as error:
            refused.append((f"{called(services)}, as {settings.user}: {error}", error))
    report.checks.append(_let_in(next(iter(mysql.values())), accounts, refused))
    if not accounts:
        report.skip((TLS, GRANTS, SCHEMA, CLOCK, DISK), NO_DATABASE)
        return report.checks
    # Empty where the only accounts that were let in were lost at once.
    tls, clock = first or [Check(name, State.SKIPPED, (NO_DATABASE,)) for name in (TLS, CLOCK)]
    report.checks += [tls, _grants(accounts), _schema(accounts), clock]
    report.skip([DISK], "SQL does not show it")
    return report.checks


def _let_in(
    settings: MysqlSettings, accounts: list[Account], refused: list[tuple[str, Unavailable]]
) -> Check:
    is_away = any(error.reason in ("connection", "timeout") for _, error in refused)
    users = ", ".join(account.settings.user for account in accounts)
    where = f"{settings.host}:{settings.port}, {settings.database}, as {users}"
    return Check.of(DATABASE, [words for words, _ in refused], where, START if is_away else "")


def _account(transaction: Transaction, settings: MysqlSettings, services: list[str]) -> Account:
    ((user, version),) = transaction.select("SELECT CURRENT_USER(), VERSION()")
    # An active role counts; FOR CURRENT_USER would leave it out on MariaDB.
    lines = [line for (line,) in transaction.select("SHOW GRANTS")]
    name, _, host = user.rpartition("@")
    return Account(
        settings, services, f"`{name}`@`{host}`", grants.held(lines), "MariaDB" in version
    )


def _encryption(transaction: Transaction, settings: MysqlSettings) -> Check:
    found = dict(transaction.select(ENCRYPTION))
    values = (found.get(name, "") for name in ("Ssl_version", "Ssl_cipher", "Ssl_server_not_after"))
    return encryption.check(TLS, settings.tls, encryption.Encryption(*values))


def _clock(transaction: Transaction) -> Check:
    asked = time.time()
    ((theirs,),) = transaction.select("SELECT UTC_TIMESTAMP(6)")
    answered = time.time()
    return check_clock(theirs.replace(tzinfo=UTC).timestamp(), asked, answered)


def check_clock(theirs: float, asked: float, answered: float) -> Check:
    """Return the row of the clocks; `theirs` was read between the two moments, all in seconds."""
    ahead = theirs - (asked + answered) / 2
    if abs(ahead) <= APART + (answered - asked) / 2:
        return Check(CLOCK, State.OK, (f"{abs(ahead):.3f} s from the database's",))
    order = "ahead of" if ahead > 0 else "behind"
    words = f"the database's clock is {abs(ahead):,.1f} s {order} this machine's"
    return Check(CLOCK, State.ATTENTION, (words,), "Set both by NTP: delays are wrong by as much.")


def _grants(accounts: list[Account]) -> Check:
    missing, beyond, statement = [], [], ""
    for account in accounts:
        schema = account.settings.database
        whose = f"{account.settings.user} ({called(account.services)})"
        lacking = account.missing()
        if lacking:
            missing.append(f"{whose} lacks {_list(lacking, schema)}")
            statement = statement or lacking[0].granted_to(account.name)
        # Root's are known.
        is_root = account.settings.user == "root" and account.services == ["MIGRATOR"]
        more = [] if is_root else account.beyond()
        if more:
            beyond.append(f"{whose} has, and does not need, {_list(more, schema)}")
    if missing:
        advice = f"{statement}, and so what else it lacks: {MAKE_ACCOUNTS}."
        return Check(GRANTS, State.BROKEN, (*missing, *beyond), advice)
    if beyond:
        advice = "REVOKE it: an account need not do more than its service does."
        return Check(GRANTS, State.ATTENTION, tuple(beyond), advice)
    names = ", ".join(account.settings.user for account in accounts)
    return Check(GRANTS, State.OK, (f"what is needed and no more: {names}",))


def _list(rights: list[Right], schema: str) -> str:
    return ", ".join(right.told(schema) for right in rights)


def _schema(accounts: list[Account]) -> Check:
    seeing = next((account for account in accounts if account.may_see_the_version()), None)
    if seeing is None:
        return Check(SCHEMA, State.SKIPPED, ("no account here may read its version",))
    try:
        with (
            closing(Session(seeing.settings, "datastream doctor")) as session,
            session.transaction() as transaction,
        ):
            noted = {name for (name,) in transaction.select(migrate.NOTED)}
    except Unavailable as error:
        return Check(SCHEMA, State.BROKEN, (str(error),), MIGRATE)
    return check_version([m.id for m in migrate.read()], noted)


def check_version(shipped: list[str], noted: set[str]) -> Check:
    """Return the row of the schema, from the migrations of this version and those applied."""
    missing = [name for name in shipped if name not in noted]
    newer = sorted(noted.difference(shipped))
    if missing:
        words = (
            f"{len(missing)} of {len(shipped)} migrations are missing, the first is {missing[0]}"
        )
        return Check(SCHEMA, State.BROKEN, (words,), MIGRATE)
    if newer:
        words = f"it has {', '.join(newer)}, which this version does not know"
        return Check(SCHEMA, State.ATTENTION, (words,), "Use the version that made it.")
    return Check(SCHEMA, State.OK, (f"{shipped[-1]}, the newest of {len(shipped)}",))
