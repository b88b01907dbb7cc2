"""What a pass may take of the capacity, and to whom it is promised (waiting.md T1, T2)."""

from datetime import UTC, datetime

import pytest

from rs_order.domain.ids import Tenant
from rs_order.domain.shares import NOTHING, Amount, Claims, Room, Waiter, to_promise

GB = 10**9
ONE = Amount(1, 1, GB)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def claims(
    taken: int, *, woken: bool = False, others_wait: bool = False, tenant_waits: bool = False
) -> Claims:
    return Claims(
        taken, 0, woken, others_wait, taken=Amount(taken, taken, 0), tenant_waits=tenant_waits
    )


@pytest.mark.parametrize(
    ("found", "allowed"),
    [
        pytest.param(claims(1), 3, id="free"),
        pytest.param(claims(3), 1, id="one left"),
        pytest.param(claims(4), 0, id="none left"),
        pytest.param(claims(9), 0, id="more taken than allowed"),
        pytest.param(claims(1, others_wait=True), 0, id="others wait"),
        pytest.param(claims(1, woken=True, others_wait=True), 1, id="promised"),
        pytest.param(claims(1, woken=True), 3, id="promised, and nobody else waits"),
        pytest.param(claims(4, woken=True, others_wait=True), 0, id="promised, but taken"),
        pytest.param(claims(1, tenant_waits=True), 0, id="others of the tenant wait"),
    ],
)
def test_a_pass_takes_what_was_promised_and_more_only_if_nobody_else_waits(
    found: Claims, allowed: int
) -> None:
    """The service may run four sub-orders."""
    assert found.allowance(Amount(4), [ONE] * 5) == allowed


def test_who_waits_for_a_tenant_holds_up_no_other_tenant() -> None:
    """The service has no limit, so nobody waits for it."""
    assert claims(9, others_wait=True).allowance(NOTHING, [ONE] * 5) == 5


@pytest.mark.parametrize(
    ("limit", "taken", "wanted", "fitting"),
    [
        pytest.param(NOTHING, Amount(9, 9, 9), [ONE, ONE], 2, id="no limit"),
        pytest.param(Amount(2), Amount(1), [ONE, ONE], 1, id="sub-orders"),
        pytest.param(Amount(0, 5), Amount(1, 3), [ONE, ONE, ONE], 2, id="files, reached exactly"),
        pytest.param(Amount(0, 0, 3 * GB), Amount(1, 1, GB), [ONE] * 3, 2, id="bytes"),
        pytest.param(
            Amount(9, 9, GB), Amount(), [Amount(1, 1, 5 * GB), ONE], 1, id="larger than all"
        ),
        pytest.param(Amount(9, 9, GB), Amount(1), [Amount(1, 1, 5 * GB)], 0, id="larger, in use"),
        pytest.param(Amount(1), Amount(1), [NOTHING, ONE], 1, id="asks nothing of storage"),
    ],
)
def test_what_fits(limit: Amount, taken: Amount, wanted: list[Amount], fitting: int) -> None:
    """What is larger than a whole limit starts alone, and never waits for ever."""
    assert Room(limit, taken).fitting(wanted) == fitting


def waiter(name: str, size: int = 1, room: Room = Room()) -> Waiter:  # noqa: B008 - a frozen value
    return Waiter(Tenant(name[0]), name, NOW, Amount(1, 1, size * GB), room)


SMALL_TENANT = Room(Amount(0, 0, 2 * GB), Amount(1, 1, GB))


@pytest.mark.parametrize(
    ("waiters", "promised"),
    [
        pytest.param([waiter("a1"), waiter("b1")], "a1 b1", id="room for all"),
        pytest.param([waiter("a1", 3), waiter("b1", 2), waiter("c1")], "a1", id="none overtakes"),
        pytest.param([waiter("a1", 9), waiter("b1")], "", id="not even the first"),
        pytest.param(
            [waiter("a1", 1, SMALL_TENANT), waiter("a2", 1, SMALL_TENANT), waiter("b1")],
            "a1 b1",
            id="a tenant without room",
        ),
    ],
)
def test_to_whom_capacity_is_promised(waiters: list[Waiter], promised: str) -> None:
    """Of the service, 4 GB are free; the tenant a has room for 1 GB, if it has limits."""
    service = Room(Amount(0, 0, 5 * GB), Amount(1, 1, GB))

    assert [one.owner for one in to_promise(waiters, service)] == promised.split()
