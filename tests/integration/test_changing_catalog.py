"""Products are removed from the catalog, or added, while an order reads it page by page (F9d)."""

from collections.abc import Callable

import pytest

from rs_order.completion.passes import MOST_PASSES
from rs_order.core.shared_steps import CompleteOrderStep
from rs_order.domain.files import Product
from rs_order.store.pool import Pool
from tests.integration.app_harness import AppHarness, one_file


def removed(products: list[Product]) -> None:
    del products[0]


def added(products: list[Product]) -> None:
    products.insert(0, one_file("new"))


@pytest.mark.parametrize(
    ("change", "files"),
    [(removed, {"a", "b", "c", "d", "e"}), (added, {"a", "b", "c", "d", "e", "new"})],
)
async def test_f9d_a_selection_that_changes_is_read_again(
    change: Callable[[list[Product]], None], files: set[str], pool: Pool
) -> None:
    """No product is skipped, none is added twice, and files that were read before stay in the order."""
    app = AppHarness(pool, batch_size=2)
    order = await app.order("a", "b", "c", "d", "e")
    await app.run_one(CompleteOrderStep)
    change(app.catalog.products)
    await app.run()

    assert set(await app.files(order)) == files
    assert app.catalog.read[:3] == [0, 1, 0]
    assert await app.rows("select status, message from orders") == [
        {"status": "RUNNING", "message": None}
    ]
    assert await app.rows("select files_count from dataset_task") == [{"files_count": len(files)}]
    assert await app.miscounted() == []


@pytest.mark.parametrize("size", [1, 3, 10])
async def test_another_page_size_applies_to_the_next_selection(size: int, pool: Pool) -> None:
    """The service is restarted with it while an order is read: no product is skipped or read twice."""
    app = AppHarness(pool, batch_size=2)
    order = await app.order("a", "b", "c", "d", "e")
    await app.run_one(CompleteOrderStep)
    restarted = AppHarness(pool, batch_size=size)
    restarted.catalog.products = app.catalog.products
    await restarted.run()

    assert restarted.catalog.read == [1, 2]
    assert set(await restarted.files(order)) == {"a", "b", "c", "d", "e"}


async def test_f9d_a_last_page_that_comes_too_early_is_noticed(pool: Pool) -> None:
    """The catalog counts five products, but its second page is empty once."""
    app = AppHarness(pool, batch_size=2)
    order = await app.order("a", "b", "c", "d", "e")
    await app.run_one(CompleteOrderStep)
    app.catalog.empty_pages = 1
    await app.run()

    assert set(await app.files(order)) == {"a", "b", "c", "d", "e"}


async def test_f9d_an_order_says_that_files_may_be_missing(pool: Pool) -> None:
    """A catalog that changes in every pass is read a few times, and then with what it gives."""
    app = AppHarness(pool, batch_size=2)
    app.catalog.counts_more_with_each_call = True
    order = await app.order("a", "b", "c")
    await app.run()

    assert app.catalog.read == [0, 1] * (MOST_PASSES - 1) + [0, 1, 2]
    assert set(await app.files(order)) == {"a", "b", "c"}
    assert await app.status(order) == "RUNNING"
    (row,) = await app.rows("select message from orders")
    assert "counts 12 products, and 3 were read. Files may be missing" in row["message"]
    assert await app.miscounted() == []
