"""`make alert-test`: one alert to each Alertmanager that Prometheus tells, and its answer."""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from datastream.config import Environment
from datastream_operator import screen
from datastream_operator.refused import EX_UNAVAILABLE, Refused

PROMETHEUS = "http://prometheus:9090"
#: The Alertmanager of our own containers, which tells the address of ALERT_WEBHOOK.
OWN = "http://alertmanager:9093"
#: Seconds until Prometheus has read its list anew; until an address has answered.
PATIENCE = 30.0
INTERVAL = 0.2
#: Seconds after which the test is over, as Alertmanager then says.
LASTS = 60.0

#: What Alertmanager counts of its requests to whom it tells.
REQUESTS = "alertmanager_notification_requests_total"
FAILED = "alertmanager_notification_requests_failed_total"

T = TypeVar("T")

# Never through a proxy, even if the environment names one.
_http = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def run(_env: Environment) -> None:
    """Send the test to each Alertmanager; say whether it was taken. Raises Refused."""
    found = _awaited(_alertmanagers)
    if not found:
        raise Refused("Prometheus knows of no Alertmanager. Run make deploy", EX_UNAVAILABLE)
    for url in found:
        own = url.startswith(f"{OWN}/")
        before = _counts() if own else (0, 0)
        _post(url, alert(datetime.now(UTC)))
        if not own:
            sys.stdout.write(f"{url} took it; whom it tells is its own to know\n")
            continue
        _say_of_the_address(*before)


def _say_of_the_address(requests: int, failed: int) -> None:
    """Say whether the address has taken it: what Alertmanager counts was so much before."""
    if not _awaited(lambda: _counts()[0] > requests):
        raise Refused(f"The address of ALERT_WEBHOOK has not answered in {PATIENCE:.0f} s")
    if _counts()[1] > failed:
        raise Refused("The address of ALERT_WEBHOOK did not take it")
    sys.stdout.write("The address of ALERT_WEBHOOK took it\n")


def alert(now: datetime) -> dict[str, Any]:
    """Return the test as Alertmanager reads it; no two are the same alert."""
    return {
        "labels": {
            "alertname": "DatastreamTest",
            "severity": "info",
            "sent": now.isoformat(timespec="microseconds"),
        },
        "annotations": {
            "summary": "This is a test: make alert-test",
            "description": "Datastream tells its alerts here. Nothing is wrong.",
            "runbook_url": "docs/runbook.md",
        },
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(seconds=LASTS)).isoformat(),
    }


def _alertmanagers() -> list[str]:
    """Return where Prometheus sends alerts to."""
    try:
        with _http.open(f"{PROMETHEUS}/api/v1/alertmanagers", timeout=screen.TIMEOUT) as answer:
            found = json.load(answer)["data"]["activeAlertmanagers"]
    except OSError as error:
        raise Refused(f"Prometheus does not answer: {error}", EX_UNAVAILABLE) from None
    return [one["url"] for one in found]


def _counts() -> tuple[int, int]:
    """Return how many requests Alertmanager has made to whom it tells, and how many failed."""
    try:
        samples = [screen.samples_at(f"{OWN}/metrics")]
    except OSError as error:
        raise Refused(f"Alertmanager does not answer: {error}", EX_UNAVAILABLE) from None
    return round(screen.total(samples, REQUESTS)), round(screen.total(samples, FAILED))


def _post(url: str, one: dict[str, Any]) -> None:
    request = urllib.request.Request(  # noqa: S310 - the scheme is Prometheus's own
        url, json.dumps([one]).encode(), {"Content-Type": "application/json"}
    )
    try:
        with _http.open(request, timeout=screen.TIMEOUT):
            pass
    except OSError as error:
        raise Refused(f"{url} did not take it: {error}") from None


def _awaited(ask: Callable[[], T]) -> T:
    """Return what `ask` returns once that is something, or what it is when patience ends."""
    end = time.monotonic() + PATIENCE
    while not (found := ask()) and time.monotonic() < end:
        time.sleep(INTERVAL)
    return found
