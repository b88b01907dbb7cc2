"""What is remembered of the calls of other services."""

from datetime import UTC, datetime

from rs_order.regards.call_watch import CallWatch, ServiceCalls, merged
from tests.support.clock import ManualClock


def test_the_last_good_answer_and_the_failures_of_an_hour_are_known() -> None:
    clock = ManualClock()
    watch = CallWatch(clock.monotonic)
    clock.move(seconds=100)
    watch.note("rs-storage", "ok")
    clock.move(seconds=60)
    watch.note("rs-storage", "unavailable")
    calls = watch.services()["rs-storage"]

    assert calls.last_good == datetime.fromtimestamp(100, UTC)
    assert (calls.failures, calls.well) == (1, False)
    clock.move(hours=1)
    later = watch.services()["rs-storage"]
    assert (later.failures, later.well) == (0, False)
    watch.note("rs-storage", "rejected")
    assert watch.services()["rs-storage"].well


def test_a_service_that_never_answered_is_known() -> None:
    watch = CallWatch(ManualClock().monotonic)
    watch.note("rs-dam", "bad-response")

    assert watch.services()["rs-dam"].last_good is None
    assert not watch.services()["rs-dam"].well


def test_the_calls_of_processes_are_merged() -> None:
    """The last answer of any process decides whether a service is well; failures add up."""
    early, late = (datetime.fromtimestamp(seconds, UTC) for seconds in (100, 200))
    found = merged(
        [
            {"rs-dam": ServiceCalls(late, None, 0), "rs-admin": ServiceCalls(early, None, 0)},
            {"rs-dam": ServiceCalls(None, early, 2)},
            {"rs-dam": ServiceCalls(early, early, 1)},
        ]
    )

    assert found["rs-dam"] == ServiceCalls(late, early, 3)
    assert found["rs-dam"].well
    assert found["rs-admin"].last_good == early
