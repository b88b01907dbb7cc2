"""Products and files in the JSON of rs-catalog and rs-dam (remote-services.md 2.4, 2.9).

Read by hand and not with a model per file: a page holds 10,000 products, and what isn't ordered is
never built. Tolerant of what the contract lets vary, strict about what identifies a file.
"""

from collections.abc import Iterator, Sequence
from sys import intern
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from rs_order.contracts.wire import storable
from rs_order.domain.files import LARGEST_FILE, ORDERABLE, CatalogFile, FileType, OtherType, Product
from rs_order.domain.ids import Checksum, Urn


class MalformedFeature(ValueError):
    """A product or a file that can't be ordered because of how it is described."""


_ORDERABLE: Final = tuple((data_type.value, data_type) for data_type in ORDERABLE)
_LATEST_VERSION: Final = 2**31 - 1
_OTHERS: Final = tuple((data_type.value, data_type) for data_type in OtherType)


def product_of(feature: Any, *, every_type: bool = False) -> Product:
    """The product a feature describes, with its orderable files; ``every_type``: with all files.

    Raises:
        MalformedFeature: no id, or a file that can't be told from others or fetched.
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
        # A handful of values, thousands of times: one object each.
        checksum_algorithm=intern(algorithm) if algorithm else None,
        mime_type=intern(mime_type) if mime_type else None,
        online=_flag(file, "online"),
    )


def _last_segment(url: str) -> str:
    """What a file without a name is called (rest.md 10.3)."""
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
