"""Lists and baskets are built without the models that document them, and are the models'."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest

from rs_order.baskets.representation import basket_content
from rs_order.contracts.basket_bodies import BasketDto
from rs_order.contracts.order_bodies import OrderDataFile, OrderDataFileDTO, OrderDto
from rs_order.contracts.wire import WireModel
from rs_order.core.links import DownloadLinks
from rs_order.core.reason_texts import Language
from rs_order.core.waiting_orders import Waiting
from rs_order.domain.estimates import Silence
from rs_order.domain.expectations import Expected
from rs_order.domain.files import DataType, FileFilter, FileKind
from rs_order.domain.ids import (
    BasketId,
    DataFileId,
    DatasetSelectionId,
    DatasetTaskId,
    OrderId,
    SubOrderId,
    Urn,
)
from rs_order.domain.process import ProcessChoice
from rs_order.domain.reasons import ReasonCode, WaitingReason
from rs_order.domain.selection import (
    Basket,
    DatasetSelection,
    DatedSelection,
    SelectionRequest,
    TypeTotals,
)
from rs_order.domain.states import FileState, OrderStatus
from rs_order.orders.file_lists import available_file, data_file
from rs_order.orders.representation import order_content, wait_members
from rs_order.store.file_views import FileView
from rs_order.store.order_views import DatasetTaskView, OrderView

NOW = datetime(2026, 3, 1, 12, 30, 45, 250_000, tzinfo=UTC)
LINKS = DownloadLinks("https://archive.example.org/api/v1/rs-order")


def a_file(*, whole: bool) -> FileView:
    """Return a file, with all members that may be absent or without them."""

    def optional(value: Any) -> Any:
        return value if whole else None

    return FileView(
        id=DataFileId(101),
        state=FileState.ERROR,
        reason=optional("not found"),
        order_id=OrderId(12),
        sub_order_id=SubOrderId(31),
        product_urn="URN:AIP:DATA:project1:1:V1",
        product_id=optional("P1"),
        product_version=2,
        data_type="RAWDATA",
        name="é.nc",
        url="https://archive.example.org/é",
        external=whole,
        online=not whole,
        size=optional(0),
        checksum=optional("abc"),
        checksum_algorithm=optional("MD5"),
        mime_type=optional("image/jp2"),
    )


def an_order(*, whole: bool) -> OrderView:
    tasks = (
        DatasetTaskView(DatasetTaskId(21), "one", 5, 10, 2**40, None, None),
        DatasetTaskView(
            DatasetTaskId(22),
            "two",
            0,
            0,
            0,
            FileFilter(kinds=frozenset({FileKind.RAWDATA}), name_pattern=".*"),
            ProcessChoice(UUID(int=7), {"a": "b"}),
        ),
    )
    return OrderView(
        id=OrderId(12),
        owner="jane@example.org",
        label="Flood",
        created_at=NOW,
        expires_at=NOW if whole else None,
        status=OrderStatus.DONE_WITH_WARNING,
        status_at=NOW.replace(microsecond=0),
        percent=100,
        errors=1,
        available_files=4,
        waiting_for_user=True,
        dataset_tasks=tasks if whole else (),
        has_files=True,
        has_process=False,
    )


def a_basket(*, whole: bool) -> Basket:
    request = SelectionRequest(
        engine_type="legacy",
        selection_date=NOW,
        dataset_urn=Urn("URN:1") if whole else None,
        search_parameters={"q": ["é"]} if whole else {},
        include=(Urn("URN:2"),) if whole else (),
        exclude=(Urn("URN:3"),) if whole else (),
    )
    types = {DataType.RAWDATA: TypeTotals(files=10, bytes=2**40, external_files=2)}
    selection = DatasetSelection(
        urn=Urn("URN:1"),
        label="one",
        products=5,
        files=10,
        bytes=2**40,
        types=types,
        file_filter=FileFilter(frozenset({FileKind.RAWDATA}), ".*") if whole else None,
        searches=(DatedSelection(request, 5, types),),
        process=ProcessChoice(UUID(int=7), {"a": "b"}) if whole else None,
        id=DatasetSelectionId(7),
    )
    return Basket(BasketId(3), "jane@example.org", 1, (selection,))


def waits(*, whole: bool) -> dict[str, Any]:
    reason = WaitingReason(ReasonCode.STORAGE_RESTORING, files=3)
    expected = Expected(NOW, NOW, level=0.9, samples=100) if whole else Silence.NO_HISTORY
    return wait_members(Waiting(reason, expected, timedelta(minutes=5)), Language.ENGLISH)


@pytest.mark.parametrize("whole", [True, False])
def test_items_are_those_of_their_models(whole: bool) -> None:
    """The same members in the same order, and none that is null."""
    file = a_file(whole=whole)
    items: list[tuple[type[WireModel], dict[str, Any]]] = [
        (OrderDataFile, data_file(file)),
        (OrderDataFileDTO, available_file(file, LINKS)),
        (BasketDto, basket_content(a_basket(whole=whole))),
        (OrderDto, {**order_content(an_order(whole=whole)), **waits(whole=whole)}),
    ]
    for model, item in items:
        wire = model.model_validate(item).to_wire()
        assert orjson.dumps(item) == orjson.dumps(wire)
        assert (
            set(item) - {field.alias or name for name, field in model.model_fields.items()} == set()
        )
