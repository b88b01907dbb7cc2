"""What the rows of the console's pages say and offer."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from rs_order.console.audit_routes import LONGEST_VALUE, value_text
from rs_order.console.order_rows import Acts, acts_on, expiry_of, order_row, progress_of
from rs_order.console.overview import instances_of, services_of, verdict_of
from rs_order.console.paging import neighbours
from rs_order.console.plots import HEIGHT, plot_of
from rs_order.console.texts import Texts
from rs_order.contracts.administration import HealthStatus
from rs_order.core.instance_states import described
from rs_order.core.reason_texts import Language
from rs_order.domain.ids import OrderId
from rs_order.domain.states import FileCounters, FileState, OrderStatus
from rs_order.ports import ComponentHealth
from rs_order.regards.call_watch import CallWatch, ServiceCalls
from rs_order.store.instances import Identity, KnownInstance
from rs_order.store.order_pages import ShownOrder

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TEXTS = Texts(Language.ENGLISH)
UP = {"db": ComponentHealth(HealthStatus.UP)}


def shown(
    status: OrderStatus, files: dict[FileState, int] | None = None, **changed: Any
) -> ShownOrder:
    counters = FileCounters()
    for state, number in (files or {}).items():
        counters.add(state, number, 1000 * number)
    order = ShownOrder(
        id=OrderId(12),
        owner="jane",
        label="Scan",
        correlation_id="c",
        status=status,
        status_at=NOW,
        created_at=NOW,
        expires_at=NOW + timedelta(days=3),
        message=None,
        sub_orders=1,
        waiting_sub_orders=0,
        files_known=True,
        has_process=False,
        counters=counters,
    )
    return replace(order, **changed)


def offered(order: ShownOrder, *, manages: bool = True) -> set[str]:
    acts = acts_on(order, lambda _: True, manages=manages)
    return {name for name in Acts.__slots__ if getattr(acts, name)}


@pytest.mark.parametrize(
    ("status", "files", "acts"),
    [
        (OrderStatus.PENDING, {}, {"pause"}),
        (OrderStatus.RUNNING, {FileState.AVAILABLE: 1}, {"pause", "download"}),
        (OrderStatus.PAUSED, {}, {"resume", "delete"}),
        (OrderStatus.DONE, {FileState.DOWNLOADED: 1}, {"restart", "delete"}),
        (OrderStatus.FAILED, {FileState.ERROR: 1}, {"retry", "restart", "delete"}),
        (OrderStatus.EXPIRED, {FileState.AVAILABLE: 1}, {"delete"}),
        (OrderStatus.DELETED, {}, set()),
    ],
)
def test_the_acts_are_those_that_the_status_allows(
    status: OrderStatus, files: dict[FileState, int], acts: set[str]
) -> None:
    assert offered(shown(status, files)) == acts
    assert offered(shown(status, files), manages=False) == set()


@pytest.mark.parametrize(
    ("status", "state", "fetchable"),
    [
        (OrderStatus.RUNNING, FileState.PENDING, False),
        (OrderStatus.RUNNING, FileState.AVAILABLE, True),
        (OrderStatus.DONE, FileState.DOWNLOADED, True),
        (OrderStatus.DONE_WITH_WARNING, FileState.DOWNLOAD_ERROR, True),
        (OrderStatus.FAILED, FileState.ERROR, False),
        (OrderStatus.EXPIRED, FileState.DOWNLOADED, False),
    ],
)
def test_files_that_were_delivered_can_be_fetched_again(
    status: OrderStatus, state: FileState, fetchable: bool
) -> None:
    order = shown(status, {state: 1})

    row = order_row(order, None, TEXTS, NOW, lambda _: True, manages=True)
    of_others = order_row(order, None, TEXTS, NOW, lambda _: True, manages=False)
    assert (row.fetchable, of_others.fetchable) == (fetchable, False)


def test_processed_orders_are_not_retried() -> None:
    order = shown(OrderStatus.FAILED, {FileState.PROCESSING_ERROR: 1}, has_process=True)

    assert "retry" not in offered(order)


def test_a_role_without_a_right_is_offered_nothing_of_it() -> None:
    acts = acts_on(shown(OrderStatus.RUNNING), lambda _: False, manages=True)

    assert not acts.pause


def test_progress_has_files_bytes_and_failures() -> None:
    files = {FileState.PENDING: 2, FileState.AVAILABLE: 1, FileState.ERROR: 1}
    progress = progress_of(shown(OrderStatus.RUNNING, files).files, TEXTS)

    assert progress.percent == 50
    assert progress.text == "2 of 4 files · 2.0 KB of 4.0 KB · 1 failed"


def test_a_finished_order_says_what_is_ready_and_what_failed() -> None:
    files = {FileState.AVAILABLE: 2, FileState.ERROR: 1}
    row = order_row(
        shown(OrderStatus.DONE_WITH_WARNING, files), None, TEXTS, NOW, lambda _: True, manages=True
    )

    assert row.reason is not None
    assert row.reason.text == (
        "2 files can be downloaded. 1 file could not be delivered. "
        "Retry the order to ask for them again."
    )


def test_files_that_are_not_known_have_no_progress() -> None:
    order = shown(OrderStatus.PENDING, {FileState.PENDING: 3}, files_known=False)
    row = order_row(order, None, TEXTS, NOW, lambda _: True, manages=True)

    assert row.progress is None


@pytest.mark.parametrize(
    ("left", "text", "soon"),
    [(timedelta(days=3), "in 3 d", False), (timedelta(hours=2), "in 2 h", True)],
)
def test_an_expiry_is_a_time_left(left: timedelta, text: str, soon: bool) -> None:
    expiry = expiry_of(shown(OrderStatus.DONE, expires_at=NOW + left), TEXTS, NOW)

    assert expiry is not None
    assert (expiry.text, expiry.soon) == (text, soon)


def test_an_expired_order_has_no_time_left() -> None:
    assert expiry_of(shown(OrderStatus.EXPIRED), TEXTS, NOW) is None
    due = expiry_of(shown(OrderStatus.DONE, expires_at=NOW), TEXTS, NOW)
    assert due is not None
    assert due.text == "now"


def test_pages_beside_the_present_one_keep_the_filters() -> None:
    first = neighbours("/c/orders", {"status": "DONE", "text": ""}, 1, 2, "")

    assert (first.previous, first.next) == (None, "/c/orders?status=DONE&page=2")
    assert neighbours("/c/orders", {}, 2, 2, "").next is None


ME = Identity(UUID(int=1), "a:1", "all", "1.0", NOW)
OTHER = Identity(UUID(int=2), "b:2", "worker", "1.0", NOW)


def known(
    health: dict[str, ComponentHealth], silent_for: timedelta = timedelta()
) -> list[KnownInstance]:
    """Return what the other process said of itself."""
    return [KnownInstance(OTHER, NOW, silent_for, described(health, {}))]


def test_the_worst_is_said_first() -> None:
    down = {"db": ComponentHealth(HealthStatus.DOWN, {"error": "gone"})}
    silent = services_of({"rs-storage": ServiceCalls(None, NOW, 3)}, TEXTS)
    here_down = instances_of(ME, down, known(UP), TEXTS)
    there_down = instances_of(ME, UP, known(down), TEXTS)
    gone = instances_of(ME, UP, known(UP, timedelta(minutes=3)), TEXTS)
    well = instances_of(ME, UP, known(UP), TEXTS)

    assert verdict_of(here_down, silent, 5, TEXTS).text == "Down on a:1: Database."
    assert verdict_of(there_down, silent, 5, TEXTS).text == "Down on b:2: Database."
    assert "rs-storage" in verdict_of(gone, silent, 5, TEXTS).text
    assert verdict_of(gone, [], 5, TEXTS).text == "Silent, and perhaps gone: b:2."
    assert verdict_of(well, [], 5, TEXTS).text == "5 dead letters wait for an operator."
    assert verdict_of(well, [], 0, TEXTS).tone == "good"


def test_bars_stand_at_their_hours_and_the_highest_reaches_the_top() -> None:
    values = {
        NOW: 10,
        NOW - timedelta(hours=47): 5,
        NOW - timedelta(hours=48): 99,
        NOW - timedelta(hours=1): 0,
    }
    plot = plot_of("restored", values, NOW, TEXTS, TEXTS.number)

    first, last = plot.bars
    assert (first.x < 1, last.x + plot.width < 100, last.x > 97) == (True, True, True)
    assert (first.height, last.height, last.y) == (HEIGHT / 2, HEIGHT, plot.top)
    assert last.title == "10 from 2026-03-01 12:00 UTC on"


def test_a_plot_without_figures_has_no_bars() -> None:
    assert plot_of("delivered", {}, NOW, TEXTS, TEXTS.size).bars == []


@pytest.mark.parametrize("hosts", ["external", "webhooks"])
def test_dead_hosts_of_others_are_shown_but_count_for_no_verdict(hosts: str) -> None:
    """One user's dead receiver doesn't make the service unwell."""
    watch = CallWatch()
    watch.note(hosts, "unavailable")
    watch.note("rs-storage", "ok")
    services = services_of(watch.services(), TEXTS)

    assert [(one.tone, one.failures) for one in services] == [("good", 0), ("off", 1)]
    assert services[1].name == TEXTS(f"overview.{hosts}")
    assert verdict_of(instances_of(ME, UP, [], TEXTS), services, 0, TEXTS).tone == "good"


def test_values_of_the_audit_are_short() -> None:
    assert value_text({"status": "RUNNING", "n": 1}) == "status: RUNNING, n: 1"
    assert value_text(None) == ""
    assert value_text([1, "é"]) == '[1, "é"]'
    assert len(value_text("x" * 1000)) == LONGEST_VALUE + 1
