"""The one retry policy: named errors, exponential backoff with jitter, a limit, a log line."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from threading import Event

import tenacity

from datastream.errors import Unavailable

logger = logging.getLogger(__name__)

#: Seconds: the first wait, and the longest. Recovery is noticed within the longest.
FIRST_WAIT = 0.1
LONGEST_WAIT = 5.0
#: Seconds after which a dependency that stays away is logged again; at once when the cause changes.
TELL_EVERY = 60.0


def retrying(
    what: str,
    *,
    until: Event,
    give_up_after: float = float("inf"),
    refused_for: float = float("inf"),
    wait: Callable[[float], None] | None = None,
    observe: Callable[[str, float], None] = lambda _reason, _lasted: None,
) -> tenacity.Retrying:
    """Return a policy that calls a function again while it raises Unavailable.

    `what` names the dependency in log lines. It stops, and raises the last Unavailable, when
    `until` is set, or when nothing but reason `refused` has come for `refused_for` seconds; no
    attempt begins later than `give_up_after` seconds after the first. It waits by `wait(seconds)`,
    by default on `until`, so that a request to stop ends the wait. `observe(reason, lasted)` is
    called before each wait, with the seconds since the first failure.
    """
    #: When each cause was last logged, in seconds since the first attempt. One reason has several:
    #: a broker closes a channel for a missing right and for a missing queue.
    told_at: dict[tuple[str, str], float] = {}
    failed_at = 0.0

    def tell(state: tenacity.RetryCallState) -> None:
        nonlocal failed_at
        error, reason = _failure(state)
        elapsed = state.seconds_since_start or 0.0
        if state.attempt_number == 1:
            told_at.clear()
            failed_at = elapsed
        observe(reason, elapsed - failed_at)
        # Numbers are of ports, sizes and sessions: they make no other cause. Nor does the step at
        # which a connection to a stopping or starting server fails.
        cause = reason, "" if reason == "connection" else re.sub(r"\d+", "", str(error))
        if cause not in told_at or elapsed - told_at[cause] >= TELL_EVERY:
            told_at[cause] = elapsed
            logger.warning(
                "%s unavailable, nothing is lost, trying again until it is back",
                what,
                extra={"reason": reason, "error": str(error), "attempts": state.attempt_number},
            )

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(Unavailable),
        wait=tenacity.wait_exponential_jitter(
            multiplier=FIRST_WAIT, max=LONGEST_WAIT, jitter=FIRST_WAIT
        ),
        stop=tenacity.stop_any(
            tenacity.stop_when_event_set(until),
            tenacity.stop_before_delay(give_up_after),
            _RefusedFor(refused_for),
        ),
        before_sleep=tell,
        sleep=wait or tenacity.sleep_using_event(until),
        reraise=True,
    )


class _RefusedFor(tenacity.stop.stop_base):
    """Ends the attempts once they have been refused, and nothing else, for some seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: float | None = None

    def __call__(self, retry_state: tenacity.RetryCallState) -> bool:
        """Whether it is time, after another attempt."""
        elapsed = retry_state.seconds_since_start or 0.0
        if _failure(retry_state)[1] != "refused":
            self._since = None
            return False
        if self._since is None or retry_state.attempt_number == 1:
            self._since = elapsed
        return elapsed - self._since >= self._seconds


def _failure(state: tenacity.RetryCallState) -> tuple[BaseException | None, str]:
    """Return why an attempt failed, and its reason."""
    error = state.outcome.exception() if state.outcome else None
    return error, error.reason if isinstance(error, Unavailable) else "unknown"
