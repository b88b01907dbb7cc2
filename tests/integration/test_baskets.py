"""Baskets in the store: what is written is read back, and no change is lost."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from rs_order.baskets.changes import ATTEMPTS, BasketChanges
from rs_order.core.errors import EmptyBasket
from rs_order.domain.events import OrderDoor
from rs_order.domain.files import DataType, FileFilter, FileKind
from rs_order.domain.identity import Caller
from rs_order.domain.ids import Urn
from rs_order.domain.process import ProcessChoice
from rs_order.domain.selection import (
    Basket,
    BasketChange,
    DatasetSelection,
    DatedSelection,
    SelectionRequest,
    TypeTotals,
)
from rs_order.store.completions import NewDatasetTask
from rs_order.store.errors import StoreConflict
from rs_order.store.orders import NewOrder
from rs_order.store.pool import Pool
from rs_order.store.unit_of_work import Store
from tests.integration.conftest import OTHER, TENANT
from tests.support.clock import NOW
from tests.support.rows import OWNER, TenantRows, in_tenant

JANE = Caller(TENANT, OWNER, "REGISTERED_USER")
AT = datetime(2026, 1, 23, 9, 21, 50, 720512, tzinfo=UTC)
TYPES = {DataType.RAWDATA: TypeTotals(files=3, bytes=30, external_files=1)}
URN = Urn("URN:AIP:DATASET:project1:1:V1")


def a_selection(urn: Urn = URN, *queries: str) -> DatasetSelection:
    searches = (
        DatedSelection(SelectionRequest.of_query(query, AT), 2, TYPES) for query in queries or "a"
    )
    selection = DatasetSelection.empty(urn, f"Dataset {urn}").plus(*searches)
    return replace(selection, products=2, files=3, bytes=30, types=TYPES)


def adding(*selections: DatasetSelection) -> BasketChange:
    return BasketChange(put=selections)


@pytest.fixture
def changes(store: Store) -> BasketChanges:
    return BasketChanges(store)


async def filled(store: Store, *selections: DatasetSelection) -> Basket:
    """Return the interactive basket of the owner, filled with these selections."""
    changed = await store.baskets.change(TENANT, Basket.new(OWNER), adding(*selections))

    assert changed == await store.baskets.of(TENANT, OWNER)
    return changed


async def test_what_is_written_is_read_back(store: Store) -> None:
    """Every member of a dataset selection; each has its own id, and searches are sorted by date."""
    whole = SelectionRequest(
        "opensearch",
        AT,
        dataset_urn=URN,
        search_parameters={"q": ["é"], "box": ["1", "2"]},
        include=(Urn("i"),),
        exclude=(Urn("e"), Urn("f")),
    )
    plain = a_selection(URN, "b", "a").plus(DatedSelection(whole, 9, {}))
    empty_filter = replace(a_selection(Urn("u2")), file_filter=FileFilter())
    with_filter = replace(
        a_selection(Urn("u3")), file_filter=FileFilter(frozenset({FileKind.QUICKLOOK}), "x.*")
    )
    pattern = replace(a_selection(Urn("u4")), file_filter=FileFilter(name_pattern="y"))
    process = ProcessChoice(UUID(int=7), {"epsg": "4326"})
    processed = replace(a_selection(Urn("u5")), process=process)
    written = (plain, empty_filter, with_filter, pattern, processed)

    basket = await filled(store, *written)

    ids = [selection.id for selection in basket.selections]
    assert all(ids)
    assert len(set(ids)) == 5
    by_date = replace(plain, searches=tuple(reversed(plain.searches)))
    assert tuple(replace(one, id=None) for one in basket.selections) == (by_date, *written[1:])
    assert (basket.owner, basket.version) == (OWNER, 1)


async def test_a_change_leaves_what_it_does_not_name(store: Store) -> None:
    """Dataset selections keep their ids; their searches are replaced by those of the change."""
    basket = await filled(store, a_selection(Urn("u1")), a_selection(Urn("u2"), "a", "b"))
    first, second = basket.selections
    changed = replace(second, products=1, searches=second.searches[:1])
    after = await store.baskets.change(TENANT, basket, adding(changed, a_selection(Urn("u3"))))

    assert after == await store.baskets.of(TENANT, OWNER)
    assert after.selections[:2] == (first, changed)
    assert [one.urn for one in after.selections] == ["u1", "u2", "u3"]

    removal = BasketChange(removed=(first.id,) if first.id else ())
    left = await store.baskets.change(TENANT, after, removal)

    assert left == await store.baskets.of(TENANT, OWNER)
    assert [one.urn for one in left.selections] == ["u2", "u3"]


async def test_searches_come_and_go_by_their_instants(store: Store) -> None:
    """Of a dataset selection only new searches are written, and only those that are gone are removed."""
    basket = await filled(store, a_selection(URN, "a", "b", "c"), a_selection(Urn("u2"), "a", "b"))
    first, second = basket.selections
    new = DatedSelection(SelectionRequest.of_query("d", AT.replace(year=2025)), 1, {})
    changed = replace(first, searches=first.searches[1:]).plus(new)

    after = await store.baskets.change(TENANT, basket, adding(changed))

    stored = await store.baskets.of(TENANT, OWNER)
    assert stored == after
    assert [one.request.search_parameters["q"] for one in after.selections[0].searches] == [
        ["d"],
        *[one.request.search_parameters["q"] for one in first.searches[1:]],
    ]
    assert after.selections[1] == second


async def test_w8_a_rejected_change_removes_no_search(store: Store) -> None:
    basket = await filled(store, a_selection(URN, "a", "b"))
    (selection,) = basket.selections
    fewer = replace(selection, searches=selection.searches[:1])

    with pytest.raises(StoreConflict):
        await store.baskets.change(TENANT, replace(basket, version=7), adding(fewer))

    assert await store.baskets.of(TENANT, OWNER) == basket


async def test_w8_a_basket_that_has_changed_since_is_a_conflict(store: Store, pool: Pool) -> None:
    """So is a basket that an order took, or that was deleted."""
    rows = TenantRows(pool, TENANT)
    stale = replace(await filled(store), version=0)
    with pytest.raises(StoreConflict, match="version 0"):
        await _save(store, stale)

    fresh = replace(stale, version=1)
    order = await rows.order()
    async with in_tenant(pool, TENANT) as connection:
        await connection.execute("update basket set order_id = $1", order)
    with pytest.raises(StoreConflict):
        await _save(store, fresh)

    async with in_tenant(pool, TENANT) as connection:
        await connection.execute("delete from basket")
    with pytest.raises(StoreConflict):
        await _save(store, fresh)


async def _save(store: Store, basket: Basket) -> None:
    await store.baskets.change(TENANT, basket, adding(a_selection()))


async def test_w12_baskets_of_orders_are_neither_read_nor_deleted(store: Store, pool: Pool) -> None:
    """Nor do they prevent a new basket of the same owner."""
    order = NewOrder(
        OWNER, "ADMIN", "label", "c", None, 2, NOW, (a_selection(),), door=OrderDoor.BASKET
    )
    async with store.unit_of_work(TENANT) as uow:
        await uow.orders.create([order])
    assert await store.baskets.of(TENANT, OWNER) is None

    basket = await filled(store, a_selection())
    copied = replace(order, label="copy", correlation_id="d", selections=basket.selections)
    async with store.unit_of_work(TENANT) as uow:
        await uow.orders.create([copied])
    await store.baskets.delete(TENANT, OWNER)

    async with in_tenant(pool, TENANT) as connection:
        (left,) = await connection.fetch(
            "select count(*) as baskets, count(order_id) as of_orders,"
            " (select count(*) from dated_selection) as searches from basket"
        )
    assert dict(left) == {"baskets": 2, "of_orders": 2, "searches": 2}


async def test_an_order_keeps_the_selections_of_its_basket(store: Store, pool: Pool) -> None:
    """The completion of the order sees the process, the empty filter and the searches."""
    processed = replace(a_selection(Urn("u1")), process=ProcessChoice(UUID(int=7), {"a": "b"}))
    filtered = replace(a_selection(Urn("u2")), file_filter=FileFilter())
    order = NewOrder(
        OWNER, "ADMIN", "label", "c", None, 2, NOW, (processed, filtered), door=OrderDoor.BASKET
    )
    async with store.unit_of_work(TENANT) as uow:
        (id_,) = await uow.orders.create([order])
    positions = await store.completion_positions(TENANT, [(id_, 0), (id_, 1)])
    read = [positions[id_, index].selection for index in range(2)]
    async with store.unit_of_work(TENANT) as uow:
        for selection in read:
            assert selection is not None
            await uow.completions.dataset_tasks([NewDatasetTask(id_, selection)])
    async with in_tenant(pool, TENANT) as connection:
        tasks = await connection.fetch(
            "select process_id, process_parameters, file_kinds from dataset_task order by dataset_urn"
        )

    assert [replace(one, id=None) for one in read if one] == [processed, filtered]
    assert [tuple(task.values()) for task in tasks] == [
        (UUID(int=7), {"a": "b"}, None),
        (None, None, []),
    ]


async def test_promise_7_each_tenant_has_its_own_baskets(store: Store) -> None:
    """The same owner has another basket in another project, or none."""
    await filled(store, a_selection())
    assert await store.baskets.of(OTHER, OWNER) is None
    await store.baskets.delete(OTHER, OWNER)

    assert await store.baskets.of(TENANT, OWNER) is not None


async def test_the_slower_of_two_changes_is_decided_again(
    changes: BasketChanges, store: Store
) -> None:
    """It is decided on the basket that the faster one saved, and both changes stay."""
    seen: list[int] = []

    async def decide(basket: Basket) -> BasketChange:
        seen.append(len(basket.selections))
        if len(seen) == 1:
            await changes.apply(JANE, faster, create=True)
        return adding(a_selection(Urn("slow")))

    async def faster(_: Basket) -> BasketChange:
        return adding(a_selection(Urn("quick")))

    basket = await changes.apply(JANE, decide, create=True)

    assert seen == [0, 1]
    assert [one.urn for one in basket.selections] == ["quick", "slow"]


async def test_a_change_is_given_up_after_some_conflicts(changes: BasketChanges) -> None:
    """Nothing of it is stored."""
    attempts = 0

    async def decide(basket: Basket) -> BasketChange:
        nonlocal attempts
        attempts += 1
        await changes.apply(JANE, faster, create=True)
        return adding(a_selection(Urn("slow")))

    async def faster(_: Basket) -> BasketChange:
        return adding(a_selection(Urn(f"quick {attempts}")))

    with pytest.raises(StoreConflict):
        await changes.apply(JANE, decide, create=True)

    assert attempts == ATTEMPTS
    basket = await changes.read(JANE)
    assert all(one.urn.startswith("quick") for one in basket.selections)


async def test_a_basket_that_is_deleted_meanwhile_is_created_again_only_to_add(
    changes: BasketChanges, store: Store
) -> None:
    """An addition creates a new basket; an edit fails because there is none (B2)."""

    async def after_deleting_it(_: Basket) -> BasketChange:
        await store.baskets.delete(TENANT, OWNER)
        return adding(a_selection())

    async def decide(basket: Basket) -> BasketChange:
        return adding(a_selection()) if basket.id != first.id else await after_deleting_it(basket)

    first = await filled(store, a_selection(Urn("old")))
    basket = await changes.apply(JANE, decide, create=True)

    assert basket.id != first.id
    assert [one.urn for one in basket.selections] == [URN]

    with pytest.raises(EmptyBasket):
        await changes.apply(JANE, after_deleting_it)


async def test_simultaneous_requests_create_one_basket(changes: BasketChanges, pool: Pool) -> None:
    """An owner has at most one basket (B1)."""
    await asyncio.gather(*(changes.create(JANE) for _ in range(8)))

    async with in_tenant(pool, TENANT) as connection:
        assert await connection.fetchval("select count(*) from basket") == 1
