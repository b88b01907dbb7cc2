"""What the catalog knows of products goes into the items of orders, and nobody waits long for it (S-16)."""

from collections.abc import Sequence
from typing import Any, cast

import pytest

from rs_order.domain.identity import Caller
from rs_order.domain.ids import Tenant
from rs_order.ports import RemoteUnavailable
from rs_order.regards.catalog_items import MOST_IDS, CatalogItem, RegardsCatalogItems, item_of
from rs_order.stac.descriptions import PAUSE_SECONDS, Descriptions

JANE = Caller(Tenant("project1"), "jane@example.org", "REGISTERED_USER")
POINT = {"type": "Point", "coordinates": [2.3, 48.9]}
BOX = [2.3, 48.9, 2.3, 48.9]
DATED = {"datetime": "2026-01-01T00:00:00Z", "eo:cloud_cover": 3}
PERIOD = {
    "datetime": None,
    "start_datetime": "2026-01-01T00:00:00Z",
    "end_datetime": "2026-01-02T00:00:00Z",
}
SELF = "https://catalog.example.org/items/1"


class FakeCatalogItems:
    """The items of a catalog, which may be down."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.down = False

    async def find(self, caller: Caller, ids: Sequence[str]) -> dict[str, CatalogItem]:
        assert caller == JANE
        self.asked.append(len(ids))
        if self.down:
            raise RemoteUnavailable("rs-catalog", "down")
        return {id_: CatalogItem(DATED) for id_ in ids if not id_.endswith("7")}


@pytest.mark.parametrize(
    ("feature", "expected"),
    [
        ({"properties": DATED}, CatalogItem(DATED)),
        ({"properties": PERIOD, "geometry": None, "bbox": BOX}, CatalogItem(PERIOD)),
        ({"properties": DATED, "geometry": POINT, "bbox": BOX}, CatalogItem(DATED, POINT, BOX)),
        (
            {"properties": DATED, "links": [{"rel": "root"}, {"rel": "self", "href": SELF}]},
            CatalogItem(DATED, href=SELF),
        ),
        (
            {"properties": DATED, "links": [7, {"rel": "self", "href": "javascript:x"}]},
            CatalogItem(DATED),
        ),
        ({"properties": DATED, "links": 7}, CatalogItem(DATED)),
    ],
    ids=["a date", "a period", "a place", "an address", "a bad address", "bad links"],
)
def test_an_item_of_the_catalog(feature: dict[str, Any], expected: CatalogItem) -> None:
    assert item_of(feature) == expected


@pytest.mark.parametrize(
    "feature",
    [
        {},
        {"properties": []},
        {"properties": {}},
        {"properties": {"datetime": 7}},
        {"properties": {"datetime": None, "start_datetime": "2026-01-01T00:00:00Z"}},
        {"properties": DATED, "geometry": POINT},
        {"properties": DATED, "geometry": POINT, "bbox": [1, 2, 3]},
        {"properties": DATED, "geometry": POINT, "bbox": [1, 2, 3, "4"]},
        {"properties": DATED, "geometry": POINT, "bbox": [1, 2, 3, True]},
        {"properties": DATED, "geometry": {}, "bbox": BOX},
        {"properties": DATED, "geometry": [1, 2], "bbox": BOX},
    ],
)
def test_what_is_no_item_is_left_out(feature: dict[str, Any]) -> None:
    """An item of an order stays valid, whatever the catalog says."""
    assert item_of(feature) is None


async def test_many_ids_are_asked_in_groups() -> None:
    """Of a hundred (S-16). What the catalog doesn't have is left out."""
    catalog = FakeCatalogItems()
    ids = [str(number) for number in range(2 * MOST_IDS + 1)]
    found = await Descriptions(cast("RegardsCatalogItems", catalog)).of(JANE, ids)

    assert sorted(catalog.asked) == [1, MOST_IDS, MOST_IDS]
    assert set(found) == {id_ for id_ in ids if not id_.endswith("7")}


async def test_a_catalog_that_is_down_is_left_alone_for_a_while() -> None:
    """Items are shown without it, and the next page doesn't wait for it again."""
    catalog, now = FakeCatalogItems(), [0.0]
    descriptions = Descriptions(cast("RegardsCatalogItems", catalog), now=lambda: now[0])
    catalog.down = True
    down = await descriptions.of(JANE, ["1"])
    catalog.down = False
    paused = await descriptions.of(JANE, ["1"])
    now[0] += PAUSE_SECONDS
    again = await descriptions.of(JANE, ["1"])

    assert (down, paused, set(again)) == ({}, {}, {"1"})
    assert catalog.asked == [1, 1]


async def test_without_an_address_nothing_is_asked() -> None:
    assert await Descriptions(None).of(JANE, ["1"]) == {}
