"""The rules of a basket (domain.md 3)."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import cast
from uuid import UUID

import pytest

from rs_order.baskets.representation import basket_content
from rs_order.completion.read_page import PageReader
from rs_order.contracts.basket_bodies import BasketSelectionRequest
from rs_order.domain.files import DataType, FileFilter, FileKind
from rs_order.domain.identity import Caller
from rs_order.domain.ids import BasketId, DatasetSelectionId, OrderId, Tenant, Urn
from rs_order.domain.instants import parse_instant, wire_instant
from rs_order.domain.order import Order
from rs_order.domain.process import Cardinality, Forecast, LimitKind, Process, ProcessChoice, Scope
from rs_order.domain.selection import (
    Basket,
    DatasetSelection,
    DatasetSummary,
    DatedSelection,
    SelectionRequest,
    Summary,
    TypeTotals,
)
from rs_order.domain.states import OrderStatus
from rs_order.ports import Catalog, FoundPage
from rs_order.regards.unconfigured import NoProcesses

AT = datetime(2026, 1, 23, 9, 21, 50, 720512, tzinfo=UTC)
URN = Urn("URN:AIP:DATASET:project1:4af7fa7f-110e-42c8-b434-7c863c280548:V1")
OTHER = Urn("URN:AIP:DATASET:project1:5bf80b80-221f-53d9-8545-8d974d391659:V1")
TYPES = {
    DataType.RAWDATA: TypeTotals(files=7, bytes=100, external_files=2),
    DataType.QUICKLOOK_SD: TypeTotals(files=3, bytes=40),
}


def a_search(query: str = "*", at: datetime = AT, products: int = 5) -> DatedSelection:
    return DatedSelection(SelectionRequest.of_query(query, at), products, TYPES)


def a_selection(*searches: DatedSelection, products: int = 5) -> DatasetSelection:
    return replace(
        DatasetSelection.empty(URN, "DATASET1").plus(*searches),
        products=products,
        types=TYPES,
        id=DatasetSelectionId(7),
    )


def a_process(kind: LimitKind, limit: int, *types: str, forbids_split: bool = True) -> Process:
    return Process(
        id=UUID(int=1),
        scope=Scope.SUBORDER,
        cardinality=Cardinality.ONE_PER_EXECUTION,
        data_types=frozenset(types or ("RAWDATA",)),
        limit_kind=kind,
        limit=limit,
        forecast=Forecast(factor=1.0),
        forbids_split=forbids_split,
    )


@pytest.mark.parametrize(
    ("process", "count"),
    [
        (a_process(LimitKind.FEATURES, 5), None),
        (a_process(LimitKind.FEATURES, 4), 5),
        (a_process(LimitKind.FILES, 7), None),
        (a_process(LimitKind.FILES, 6), 7),
        (a_process(LimitKind.FILES, 9, "RAWDATA", "QUICKLOOK_SD", "THUMBNAIL"), 10),
        (a_process(LimitKind.FILES, 1, "QUICKLOOK_HD", "AIP"), None),
        (a_process(LimitKind.BYTES, 100), None),
        (a_process(LimitKind.BYTES, 99), 100),
        (a_process(LimitKind.BYTES, 139, "RAWDATA", "QUICKLOOK_SD"), 140),
        (a_process(LimitKind.FEATURES, 0), None),
        (a_process(LimitKind.NO_LIMIT, 1), None),
        (a_process(LimitKind.FEATURES, 1, forbids_split=False), None),
    ],
)
def test_w37_a_process_counts_the_union_once(process: Process, count: int | None) -> None:
    """Only files of its own types count, external and internal once each; 0 is no limit (B10)."""
    excess = a_selection(a_search(), a_search("a")).excess(process)

    assert (excess.count if excess else None) == count


def test_the_text_of_an_excess_is_that_of_the_contract() -> None:
    excess = a_selection(a_search()).excess(a_process(LimitKind.FEATURES, 4))

    assert str(excess) == (
        'The number of selected "FEATURES" in the basket [5] exceeds the maximum number of "FEATURES" '
        "allowed [4]. Please, decrease the number of selected items or contact the administrator for "
        "more information."
    )


def test_each_search_has_a_different_instant() -> None:
    """A taken instant is moved back by microseconds; an equal request is added once."""
    selection = a_selection(a_search("a"), a_search("b"), a_search("c"), a_search("a"))

    assert [
        (search.request.search_parameters["q"], search.request.selection_date)
        for search in selection.searches
    ] == [
        (["a"], AT),
        (["b"], AT - timedelta(microseconds=1)),
        (["c"], AT - timedelta(microseconds=2)),
    ]


def test_a_search_is_removed_by_its_instant() -> None:
    """The time zone doesn't matter; another instant removes nothing."""
    kept, removed = a_search("a", AT - timedelta(hours=1)), a_search("b")
    selection = a_selection(kept, removed)

    assert selection.without(AT.astimezone(timezone(timedelta(hours=2)))).searches == (kept,)
    assert selection.without(AT + timedelta(microseconds=1)) == selection


def test_searches_are_limited_to_their_dataset() -> None:
    """A search that names a dataset itself keeps it (domain.md 3.3). The stored requests don't change."""
    named = DatedSelection(replace(a_search().request, dataset_urn=OTHER), 5, TYPES)
    selection = a_selection(a_search("a"), named)

    assert [request.dataset_urn for request in selection.requests] == [URN, OTHER]
    assert selection.searches[0].request.dataset_urn is None


async def test_an_order_reads_each_dataset_of_its_basket_separately() -> None:
    """A search over all datasets is limited to one dataset when this dataset is read."""
    sent: list[SelectionRequest] = []

    class Recording:
        async def search(
            self, _caller: Caller, requests: Sequence[SelectionRequest], **_page: int
        ) -> FoundPage:
            sent.extend(requests)
            return FoundPage((), 0)

    order = Order(
        id=OrderId(1),
        owner="jane",
        role="ADMIN",
        correlation_id="c",
        status=OrderStatus.PENDING,
        sub_order_hours=2,
    )
    reader = PageReader(cast("Catalog", Recording()), None, NoProcesses(), page_size=10)
    await reader.read(Tenant("project1"), order, a_selection(a_search()), 0)

    assert [request.dataset_urn for request in sent] == [URN]


def _summary(*files: tuple[Urn, int]) -> Summary:
    return Summary(9, 9, 9, tuple(DatasetSummary(urn, 1, count, 1, {}) for urn, count in files))


@pytest.mark.parametrize(
    ("dataset", "summary", "found"),
    [
        (None, _summary((URN, 1), (OTHER, 2)), [URN, OTHER]),
        (None, _summary((URN, 0), (OTHER, 2)), [OTHER]),
        (None, _summary((URN, 0)), []),
        (URN, _summary((URN, 1), (OTHER, 2)), [URN]),
        (URN, _summary((URN, 0), (OTHER, 2)), [OTHER]),
    ],
)
def test_datasets_in_which_a_search_finds_files(
    dataset: Urn | None, summary: Summary, found: list[Urn]
) -> None:
    """A search of one dataset counts only for this dataset, if it has files."""
    request = replace(a_search().request, dataset_urn=dataset)

    assert [one.urn for one in summary.touched_by(request)] == found


def test_the_example_of_the_contract() -> None:
    """rest.md 5.1, member for member."""
    types = {DataType.RAWDATA: TypeTotals(files=10, bytes=124452, external_files=2)}
    request = SelectionRequest.of_query("*", parse_instant("2024-01-23T09:21:50.720512Z"))
    selection = replace(
        DatasetSelection.empty(URN, "DATASET1").plus(DatedSelection(request, 5, types)),
        products=5,
        types=types,
        id=DatasetSelectionId(7),
        file_filter=FileFilter(frozenset({FileKind.RAWDATA}), ".*\\.nc"),
    )

    assert basket_content(Basket(BasketId(3), "jane@x.org", 0, (selection,))) == {
        "id": 3,
        "owner": "jane@x.org",
        "datasetSelections": [
            {
                "id": 7,
                "datasetIpid": "URN:AIP:DATASET:project1:4af7fa7f-110e-42c8-b434-7c863c280548:V1",
                "datasetLabel": "DATASET1",
                "objectsCount": 5,
                "filesCount": 10,
                "filesSize": 124452,
                "quota": 8,
                "itemsSelections": [
                    {
                        "date": "2024-01-23T09:21:50.720512Z",
                        "selectionRequest": {
                            "engineType": "legacy",
                            "searchParameters": {"q": ["*"]},
                            "selectionDate": "2024-01-23T09:21:50.720512Z",
                        },
                        "objectsCount": 5,
                        "filesCount": 10,
                        "filesSize": 124452,
                        "quota": 8,
                    }
                ],
                "fileSelectionDescription": {
                    "fileTypes": ["RAWDATA"],
                    "fileNamePattern": ".*\\.nc",
                },
            }
        ],
        "quota": 8,
    }


def test_the_order_of_selections_in_a_basket() -> None:
    """Datasets are sorted by label (case is ignored), then by id; items by date. The quota is the sum."""
    late, early = a_search("late"), a_search("early", AT - timedelta(days=1))
    selections = tuple(
        replace(a_selection(late, early), label=label, id=DatasetSelectionId(id_))
        for id_, label in ((4, "b"), (3, "a"), (2, "B"), (1, "c"))
    )
    shown = basket_content(Basket(BasketId(1), "jane", 0, selections))

    assert [one["id"] for one in shown["datasetSelections"]] == [3, 2, 4, 1]
    assert [item["date"] for item in shown["datasetSelections"][0]["itemsSelections"]] == [
        wire_instant(AT - timedelta(days=1)),
        wire_instant(AT),
    ]
    assert shown["quota"] == 4 * 5


def test_a_process_is_shown_with_its_parameters() -> None:
    choice = ProcessChoice(UUID(int=5), {"epsg": "4326"})
    shown = basket_content(
        Basket(BasketId(1), "jane", 0, (replace(a_selection(a_search()), process=choice),))
    )

    assert shown["datasetSelections"][0]["processDatasetDescription"] == {
        "processBusinessId": str(UUID(int=5)),
        "parameters": {"epsg": "4326"},
    }


def test_a_request_is_read_leniently() -> None:
    """Null values and repeated ids are dropped, numbers become texts, a date needs no offset."""
    read = BasketSelectionRequest.model_validate(
        {
            "engineType": "legacy",
            "datasetUrn": "",
            "searchParameters": {"q": None, "year": [2026, None, True]},
            "entityIdsToInclude": ["b", "a", None, "b"],
            "entityIdsToExclude": None,
            "selectionDate": "2026-01-23T09:21",
            "page": 3,
        }
    )

    assert read.selection_request(AT) == SelectionRequest(
        engine_type="legacy",
        selection_date=datetime(2026, 1, 23, 9, 21, tzinfo=UTC),
        search_parameters={"year": ["2026", "true"]},
        include=(Urn("b"), Urn("a")),
    )
