"""Parses the JSON of rs-catalog and rs-dam (remote-services.md 2.2, 2.4, 2.9)."""

from collections.abc import Iterator, Sequence
from sys import intern
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from rs_order.contracts.wire import storable
from rs_order.domain.files import (
    LARGEST_FILE,
    ORDERABLE,
    CatalogFile,
    DataType,
    FileType,
    OtherType,
    Product,
)
from rs_order.domain.ids import Checksum, Urn
from rs_order.domain.selection import DatasetSummary, Summary, TypeTotals


class MalformedSummary(ValueError):
    """The summary has no usable totals."""


def summary_of(answer: Any) -> Summary:
    """Parse a summary of files. Counts that a dataset doesn't give for a data type are 0.

    Raises:
        MalformedSummary: the totals are missing. Read as 0 they would make an empty order of any
            object.
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


class MalformedFeature(ValueError):
    """The description of a product or a file is not usable, so it can't be ordered."""


_ORDERABLE: Final = tuple((data_type.value, data_type) for data_type in ORDERABLE)
_LATEST_VERSION: Final = 2**31 - 1
_OTHERS: Final = tuple((data_type.value, data_type) for data_type in OtherType)


def product_of(feature: Any, *, every_type: bool = False) -> Product:
    """Return the product of a feature, with its orderable files; ``every_type``: with all files.

    Raises:
        MalformedFeature: the feature has no id, or a file can't be identified or fetched.
    """
    if not isinstance(feature, dict):
        raise MalformedFeature("a feature isn't an object")
    urn = _text(feature, "id")
    if not urn:
        raise MalformedFeature("a feature has no id")
    try:
        return Product(
            urn=Urn(urn),
            provider_id=_text(feature, "providerId"),
            version=_whole(feature, "version", _LATEST_VERSION) or 1,
            files=tuple(_files_of(feature, _ORDERABLE)),
            others=tuple(_files_of(feature, _OTHERS)) if every_type else (),
        )
    except MalformedFeature as error:
        raise MalformedFeature(f"{urn}: {error}") from error


def _files_of(
    feature: dict[str, Any], types: Sequence[tuple[str, FileType]]
) -> Iterator[CatalogFile]:
    by_type = feature.get("files")
    if by_type is None:
        return
    if not isinstance(by_type, dict):
        raise MalformedFeature("files isn't an object")
    for name, data_type in types:
        files = by_type.get(name)
        if files is None:
            continue
        if not isinstance(files, list):
            raise MalformedFeature(f"files.{name} isn't a list")
        for file in files:
            yield _file_of(file, data_type)


def _file_of(file: Any, data_type: FileType) -> CatalogFile:
    if not isinstance(file, dict):
        raise MalformedFeature("a file isn't an object")
    url = _text(file, "uri") or ""
    checksum = _text(file, "checksum")
    if not url and not checksum:
        raise MalformedFeature("a file has neither uri nor checksum")
    algorithm = _text(file, "digestAlgorithm")
    mime_type = _text(file, "mimeType")
    return CatalogFile(
        data_type=data_type,
        name=_text(file, "filename") or _last_segment(url) or checksum or "",
        url=url,
        external=_flag(file, "reference"),
        size=_whole(file, "filesize", LARGEST_FILE),
        checksum=Checksum(checksum) if checksum else None,
        # Few values occur thousands of times, so that equal ones share one object.
        checksum_algorithm=intern(algorithm) if algorithm else None,
        mime_type=intern(mime_type) if mime_type else None,
        online=_flag(file, "online"),
    )


def _last_segment(url: str) -> str:
    """Return the name of a file that the catalog doesn't name (rest.md 10.3)."""
    try:
        return storable(unquote(urlsplit(url).path.rsplit("/", 1)[-1]))
    except ValueError as error:
        raise MalformedFeature(f"uri: {error}") from error


def _text(members: dict[str, Any], name: str) -> str | None:
    value = members.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise MalformedFeature(f"{name} isn't a text")
    try:
        return storable(value)
    except ValueError as error:
        raise MalformedFeature(f"{name}: {error}") from error


def _whole(members: dict[str, Any], name: str, most: int) -> int | None:
    value = members.get(name)
    if value is None or (type(value) is int and 0 <= value <= most):
        return value
    raise MalformedFeature(f"{name} isn't a whole number from 0 to {most}")


def _flag(members: dict[str, Any], name: str) -> bool:
    value = members.get(name)
    if value is None:
        return False
    if isinstance(value, bool):
        return value
    raise MalformedFeature(f"{name} is neither true nor false")
