"""Clients of rs-catalog and of rs-dam (remote-services.md 2)."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from sys import intern
from typing import Any, Final, overload
from urllib.parse import quote, unquote, urlsplit

from rs_order.contracts.wire import INT64, storable
from rs_order.domain.files import (
    LARGEST_FILE,
    LONGEST_CHECKSUM,
    ORDERABLE,
    CatalogFile,
    DataType,
    FileType,
    OtherType,
    Product,
)
from rs_order.domain.identity import Caller
from rs_order.domain.ids import Checksum, Tenant, Urn
from rs_order.domain.selection import DatasetSummary, SelectionRequest, Summary, TypeTotals
from rs_order.ports import PRODUCTS_AT_A_TIME, FoundPage, RemoteRejection
from rs_order.regards.http import RemoteService, TokenIssuer
from rs_order.regards.pages import ItemText, items_of, parsed

MAX_REQUESTS: Final = 100
"""Selection requests in one search (remote-services.md 2.1)."""

FILE_BYTES: Final = 500
"""The memory of a file, made from its text."""

PAGE_BYTES: Final = 2**20
PRODUCT_BYTES: Final = 16 * 1024
"""The most bytes of a page are ``PAGE_BYTES``, and these for each product. On average, one takes 2 KB."""

_SEARCH: Final = "/complex/search"
_SUMMARY: Final = "/complex/search/summary"


class RegardsCatalog:
    """Implements :class:`rs_order.ports.Catalog`."""

    def __init__(self, service: RemoteService, tokens: TokenIssuer) -> None:
        self._service = service
        self._tokens = tokens

    async def summarize(self, caller: Caller, requests: Sequence[SelectionRequest]) -> Summary:
        body = self._body(_SUMMARY, requests, page=0, size=1)
        answer = await self._service.post(_SUMMARY, self._tokens.on_behalf(caller), body)
        if answer is None:
            raise self._absent(_SUMMARY)
        try:
            return summary_of(answer)
        except MalformedSummary as error:
            raise self._service.bad_response(_SUMMARY, str(error)) from error

    async def search(
        self,
        caller: Caller,
        requests: Sequence[SelectionRequest],
        *,
        page: int,
        size: int,
        every_type: bool = False,
    ) -> FoundPage:
        body = self._body(_SEARCH, requests, page=page, size=size)
        token, limit = self._tokens.on_behalf(caller), PAGE_BYTES + size * PRODUCT_BYTES
        async with self._service.post_for_text(_SEARCH, token, body, page_bytes=limit) as answer:
            if answer is None:
                raise self._absent(_SEARCH)
            try:
                return await page_of(answer, every_type=every_type)
            except (ValueError, RecursionError) as error:
                raise self._service.bad_response(_SEARCH, str(error)) from error

    async def dataset_label(self, caller: Caller, urn: Urn) -> str | None:
        path = f"/engines/legacy/datasets/{quote(urn, safe=':,')}"
        token = self._tokens.on_behalf(caller)
        answer = await self._service.get(path, token, empty_is_absent=True)
        if answer is None:
            return None
        dataset = _content(answer)
        label = dataset.get("label") if isinstance(dataset, dict) else dataset
        if not isinstance(dataset, dict) or not isinstance(label, str | None):
            raise self._service.bad_response(path, "the answer isn't a dataset with a label")
        return label or None

    def _body(
        self, path: str, requests: Sequence[SelectionRequest], *, page: int, size: int
    ) -> dict[str, Any]:
        """Return the request body of both searches (remote-services.md 2.1).

        Raises:
            RemoteRejection: there are more selection requests than one search takes.
        """
        if not 1 <= len(requests) <= MAX_REQUESTS:
            # A search can't be split, because only the catalog can count the union of its results.
            raise RemoteRejection(
                self._service.name,
                400,
                f"{path}: a search takes 1 to {MAX_REQUESTS} selection requests, not "
                f"{len(requests)}; make several orders",
            )
        return {
            "requests": [_request_body(request) for request in requests],
            "dataTypes": [data_type.value for data_type in ORDERABLE],
            "page": page,
            "size": size,
        }

    def _absent(self, path: str) -> RemoteRejection:
        """Return the error for a 404: a missing endpoint is no empty result (remote-services.md 2.3)."""
        return RemoteRejection(self._service.name, 404, f"{path}: status 404")


class RegardsDatasetFiles:
    """Client of rs-dam: the files attached to a dataset (remote-services.md 2.9)."""

    def __init__(self, service: RemoteService, tokens: TokenIssuer) -> None:
        self._service = service
        self._tokens = tokens

    async def attached_files(self, tenant: Tenant, urn: Urn) -> Product | None:
        """Return the dataset with its orderable attached files, or None if rs-dam doesn't know it.

        Raises:
            RemoteRejection, RemoteUnavailable: rs-dam gave no usable response.
        """
        path = f"/datasets/ipId/{quote(urn, safe=':,')}"
        async with self._service.get_for_text(path, self._tokens.system(tenant)) as text:
            if text is None:
                return None
            try:
                answer = json.loads(text)
                # rs-dam returns the raw entity: its feature has no hypermedia envelope.
                return product_of(answer.get("feature") if isinstance(answer, dict) else None)
            except (ValueError, RecursionError) as error:
                raise self._service.bad_response(path, str(error)) from error


async def page_of(page: bytearray, *, every_type: bool) -> FoundPage:
    """Parse a page, and let other tasks run every few milliseconds.

    Its products are alike, so the first one shows which form of them is smaller.
    """
    made: list[ItemText | Product] = []
    others: dict[str, Any] = {}
    stays_text = False
    for item in items_of(page, others):
        feature = _content(item.value)
        if not made:
            files = len(product_of(feature, every_type=every_type).files)
            stays_text = len(item.text) <= files * FILE_BYTES
        if stays_text:
            _urn_of(feature)
        made.append(item.text if stays_text else product_of(feature, every_type=every_type))
        if len(made) % PRODUCTS_AT_A_TIME == 0:
            await asyncio.sleep(0)
    total = _total_elements(others.get("metadata"))
    return FoundPage(PageProducts(made, every_type=every_type), total)


class PageProducts(Sequence[Product]):
    """The products of a page. Those with many files are made from their texts whenever they are read.

    A product takes twice the memory of such a text. So a page of 100,000 files is kept as text, and who reads
    it has few products at a time. The texts are known to be JSON of products with ids.
    """

    def __init__(self, made: Sequence[ItemText | Product], *, every_type: bool) -> None:
        self._made = made
        self._every_type = every_type

    def __len__(self) -> int:
        return len(self._made)

    @overload
    def __getitem__(self, at: int) -> Product: ...
    @overload
    def __getitem__(self, at: slice) -> "PageProducts": ...
    def __getitem__(self, at: int | slice) -> "Product | PageProducts":
        if isinstance(at, slice):
            return PageProducts(self._made[at], every_type=self._every_type)
        one = self._made[at]
        if isinstance(one, Product):
            return one
        return product_of(_content(parsed(one)), every_type=self._every_type)


def _total_elements(metadata: Any) -> int | None:
    """Return the number of products in all pages, or None if the page doesn't have it."""
    total = metadata.get("totalElements") if isinstance(metadata, dict) else None
    return total if type(total) is int and total >= 0 else None


def _request_body(request: SelectionRequest) -> dict[str, Any]:
    body: dict[str, Any] = {
        "engineType": request.engine_type,
        "searchParameters": request.search_parameters,
        "entityIdsToInclude": list(request.include),
        "entityIdsToExclude": list(request.exclude),
        "searchDateLimit": _instant(request.selection_date),
    }
    if request.dataset_urn is not None:
        body["datasetUrn"] = request.dataset_urn
    return body


def _instant(moment: datetime) -> str:
    """Return an instant in UTC with ``Z`` and microseconds (remote-services.md 1.4)."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _content(item: Any) -> Any:
    """Return the content of a hypermedia item, or None if it has none (remote-services.md 1.4)."""
    return item.get("content") if isinstance(item, dict) else None


class MalformedSummary(ValueError):
    """The summary has no usable totals."""


def summary_of(answer: Any) -> Summary:
    """Parse a summary of files. Counts that a dataset doesn't give for a data type are 0.

    Raises:
        MalformedSummary: the totals are missing, or can't be stored. Missing ones, read as 0, would make
            an empty order of any object.
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
    if type(value) is int and 0 <= value <= INT64:
        return value
    raise MalformedSummary(f"{name} isn't a whole number from 0 to {INT64}")


class MalformedFeature(ValueError):
    """A product can't be identified, so its page can't be ordered."""


class Malformed(ValueError):
    """A member of a description is not usable. The text says which one, and what is wrong."""


_ORDERABLE: Final = tuple((data_type.value, data_type) for data_type in ORDERABLE)
_LATEST_VERSION: Final = 2**31 - 1
_OTHERS: Final = tuple((data_type.value, data_type) for data_type in OtherType)


def product_of(feature: Any, *, every_type: bool = False) -> Product:
    """Return the product of a feature, with its orderable files; ``every_type``: with all files.

    What else is wrong with the product or a file makes the files concerned defective.

    Raises:
        MalformedFeature: the feature has no id.
    """
    urn = _urn_of(feature)
    files = tuple(_files_of(feature, _ORDERABLE))
    others = tuple(_files_of(feature, _OTHERS)) if every_type else ()
    try:
        provider_id = _text(feature, "providerId")
        version = _whole(feature, "version", _LATEST_VERSION) or 1
    except Malformed as error:
        defect = f"The catalog describes its product wrongly: {error}."
        files = tuple(file.without_source(defect) for file in files)
        others = tuple(file.without_source(defect) for file in others)
        provider_id, version = None, 1
    return Product(urn, provider_id, version, files, others)


def _urn_of(feature: Any) -> Urn:
    """Return the id of a feature.

    Raises:
        MalformedFeature: it has none.
    """
    if not isinstance(feature, dict):
        raise MalformedFeature("a feature isn't an object")
    try:
        urn = _text(feature, "id")
    except Malformed as error:
        raise MalformedFeature(f"a feature has no usable id: {error}") from error
    if not urn:
        raise MalformedFeature("a feature has no id")
    return Urn(urn)


def _files_of(
    feature: dict[str, Any], types: Sequence[tuple[str, FileType]]
) -> Iterator[CatalogFile]:
    """Yield the files of some types; a list that can't be read is a defective file."""
    by_type = feature.get("files")
    if by_type is None:
        return
    if not isinstance(by_type, dict):
        yield _defective(None, types[0][1], 1, "files isn't an object")
        return
    for name, data_type in types:
        files = by_type.get(name)
        if files is None:
            continue
        if not isinstance(files, list):
            yield _defective(None, data_type, 1, f"files.{name} isn't a list")
            continue
        for number, file in enumerate(files, 1):
            try:
                yield _file_of(file, data_type)
            except Malformed as error:
                yield _defective(file, data_type, number, str(error))


def _file_of(file: Any, data_type: FileType) -> CatalogFile:
    if not isinstance(file, dict):
        raise Malformed("it isn't an object")
    url = _text(file, "uri") or ""
    checksum = _text(file, "checksum")
    if not url and not checksum:
        raise Malformed("it has neither uri nor checksum")
    if checksum and len(checksum) > LONGEST_CHECKSUM:
        raise Malformed(f"checksum is longer than {LONGEST_CHECKSUM} characters")
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


def _defective(file: Any, data_type: FileType, number: int, defect: str) -> CatalogFile:
    """Return a file that is in error from the start.

    ``number``: its position in the list of its type. It makes the name unique.
    """
    members = file if isinstance(file, dict) else {}
    name = _readable(members.get("filename"))
    return CatalogFile(
        data_type=data_type,
        name=f"{name} ({data_type} {number})" if name else f"{data_type} {number}",
        url="",
        external=False,
        size=None,
        checksum=None,
        checksum_algorithm=None,
        mime_type=None,
        online=False,
        defect=f"The catalog describes it wrongly: {defect}.",
    )


def _readable(value: Any) -> str:
    """Return a name without the characters that can't be stored; '' for what isn't a text."""
    if not isinstance(value, str):
        return ""
    return value.replace("\0", "?").encode("utf-8", "replace").decode()


def _last_segment(url: str) -> str:
    """Return the name of a file that the catalog doesn't name (rest.md 10.3)."""
    try:
        return storable(unquote(urlsplit(url).path.rsplit("/", 1)[-1]))
    except ValueError as error:
        raise Malformed(f"uri: {error}") from error


def _text(members: dict[str, Any], name: str) -> str | None:
    value = members.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise Malformed(f"{name} isn't a text")
    if value.isascii() and "\0" not in value:
        return value  # the common case, without a call
    try:
        return storable(value)
    except ValueError as error:
        raise Malformed(f"{name}: {error}") from error


def _whole(members: dict[str, Any], name: str, most: int) -> int | None:
    value = members.get(name)
    if value is None or (type(value) is int and 0 <= value <= most):
        return value
    raise Malformed(f"{name} isn't a whole number from 0 to {most}")


def _flag(members: dict[str, Any], name: str) -> bool:
    value = members.get(name)
    if value is None:
        return False
    if isinstance(value, bool):
        return value
    raise Malformed(f"{name} is neither true nor false")
