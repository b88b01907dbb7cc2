"""Notices that the catalog changed while a selection was read page by page.

If a product is removed, the pages after it move up, and a product that moves to a page before isn't read. The
pages count all products, so a change shows. Then the selection is read again from its first page; files that
the order has already are not added again.
"""

from typing import Final

from rs_order.completion.read_page import Page
from rs_order.domain.order import Order
from rs_order.domain.selection import DatasetSelection
from rs_order.store.cursors import ReadingPass

MOST_PASSES: Final = 4
"""The most passes over the pages of a selection."""


def has_changed(reading: ReadingPass, page: Page) -> bool:
    """True if the pages of a pass don't belong together, so that products may be missing.

    Args:
        reading: the pass with this page.
        page: the last page read.
    """
    if page.total is None or reading.total is None:
        return False
    return page.total != reading.total or (page.last and reading.products < page.total)


def is_read_again(reading: ReadingPass, page: Page, number: int) -> bool:
    """True if the selection is read again from its first page, instead of adding page ``number``."""
    return number > 0 and reading.number < MOST_PASSES and has_changed(reading, page)


def explain_change(
    order: Order, selection: DatasetSelection, reading: ReadingPass, page: Page
) -> str:
    """Return the message of an order after a last pass that wasn't consistent either."""
    change = (
        f"The catalog changed each time that {selection.label} was read: it counts {page.total} products, "
        f"and {reading.products} were read. Files may be missing; order again to get them."
    )
    return f"{order.message} {change}" if order.message else change
