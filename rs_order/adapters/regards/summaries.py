"""What a search amounts to, in the JSON of rs-catalog (remote-services.md 2.2)."""

from typing import Any

from rs_order.domain.files import ORDERABLE, DataType
from rs_order.domain.ids import Urn
from rs_order.domain.selection import DatasetSummary, Summary, TypeTotals


class MalformedSummary(ValueError):
    """A summary that doesn't say how much there is."""


def summary_of(answer: Any) -> Summary:
    """Read a files summary; what a dataset doesn't say of a data type counts as 0.

    Raises:
        MalformedSummary: the totals are missing. Taken for zeros they would make an empty order of
            any object that comes by.
    """
    totals = _object(answer, "the summary")
    datasets = _object(totals.get("subSummariesMap") or {}, "subSummariesMap")
    return Summary(
        products=_total(totals, "documentsCount"),
        files=_total(totals, "filesCount"),
        bytes=_total(totals, "filesSize"),
        datasets=tuple(_dataset(Urn(urn), summary) for urn, summary in datasets.items()),
    )


def _dataset(urn: Urn, summary: Any) -> DatasetSummary:
    totals = _object(summary, f"the summary of {urn}")
    types = _object(totals.get("fileTypesSummaryMap") or {}, "fileTypesSummaryMap")
    return DatasetSummary(
        urn=urn,
        products=_total(totals, "documentsCount"),
        files=_total(totals, "filesCount"),
        bytes=_total(totals, "filesSize"),
        types={data_type: _type_totals(types, data_type) for data_type in ORDERABLE},
    )


def _type_totals(types: dict[str, Any], data_type: DataType) -> TypeTotals:
    everything = _object(types.get(data_type.value) or {}, data_type.value)
    external = _object(types.get(f"{data_type.value}_ref") or {}, f"{data_type.value}_ref")
    return TypeTotals(
        files=_count(everything, "filesCount", absent=0),
        bytes=_count(everything, "filesSize", absent=0),
        external_files=_count(external, "filesCount", absent=0),
    )


def _object(value: Any, what: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise MalformedSummary(f"{what} isn't an object")


def _total(members: dict[str, Any], name: str) -> int:
    return _count(members, name, absent=None)


def _count(members: dict[str, Any], name: str, *, absent: int | None) -> int:
    value = members.get(name, absent)
    if type(value) is int and value >= 0:
        return value
    raise MalformedSummary(f"{name} isn't a whole number from 0 on")
