"""An order as a collection of STAC: the document that says how far it is (faces.md 2.5)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rs_order.contracts.wire import without_nulls
from rs_order.core.reason_texts import Language
from rs_order.domain.archives import ArchiveFormat
from rs_order.domain.expectations import Expected
from rs_order.domain.ids import OrderId
from rs_order.domain.instants import wire_instant
from rs_order.domain.reasons import WaitingReason
from rs_order.domain.states import FileState, OrderStatus
from rs_order.downloads.routes import METALINK_4_TYPE
from rs_order.rest.resources import (
    GET_ORDER,
    GET_PROGRESS,
    GET_STAC,
    LIST_ITEMS,
    ORDER_ITEMS,
)
from rs_order.stac.addresses import GEO_JSON, JSON, Addresses, DownloadAddresses, Link
from rs_order.stac.status import StacStatus, message_of, status_of
from rs_order.store.stac import CollectedOrder, ProductNames

STAC_VERSION: Final = "1.1.0"
ORDER_EXTENSION: Final = "https://stac-extensions.github.io/order/v1.1.0/schema.json"
FILE_EXTENSION: Final = "https://stac-extensions.github.io/file/v2.1.0/schema.json"
AUTH_EXTENSION: Final = "https://stac-extensions.github.io/authentication/v1.1.0/schema.json"
TIMESTAMPS_EXTENSION: Final = "https://stac-extensions.github.io/timestamps/v1.1.0/schema.json"
MOST_LINKED: Final = 1000
"""The most products to which a collection links one by one, for readers without an API (S-14)."""
MOST_LINKED_FILES: Final = 5000
"""The most files of an order whose products are linked: a status stays cheap."""

_COLLECTION_ID: Final = re.compile(r"order-(\d{1,18})", re.ASCII)
_WHOLE_EARTH: Final = [[-180, -90, 180, 90]]
_ARCHIVES: Final = {
    "archive": (ArchiveFormat.ZIP, "application/zip"),
    "archive-tar": (ArchiveFormat.TAR, "application/x-tar"),
}


def has_few_products(order: CollectedOrder) -> bool:
    """True if a collection links to each of its products."""
    return (
        order.products is not None
        and order.products <= MOST_LINKED
        and order.counters.total_files <= MOST_LINKED_FILES
    )


def collection_id(order_id: int) -> str:
    return f"order-{order_id}"


def order_of(name: str) -> OrderId | None:
    """Return the order whose collection has this id; None if it is none of ours."""
    found = _COLLECTION_ID.fullmatch(name)
    return OrderId(int(found[1])) if found else None


@dataclass(frozen=True, slots=True)
class Wait:
    """Why an order isn't further, or how it has ended."""

    reason: WaitingReason
    expected: Expected | None = None


def collection(
    order: CollectedOrder,
    wait: Wait,
    downloads: DownloadAddresses,
    language: Language,
    products: Sequence[ProductNames] = (),
) -> dict[str, Any]:
    """Return the document.

    Args:
        order: the order.
        wait: why it isn't further.
        downloads: addresses of its downloads.
        language: of the message.
        products: to be linked one by one.
    """
    status = status_of(order)
    assets = _assets(order, downloads)
    expires = wire_instant(order.expires_at) if order.expires_at else None
    created = wire_instant(order.created_at)
    return without_nulls(
        type="Collection",
        stac_version=STAC_VERSION,
        stac_extensions=_extensions(order, assets, downloads),
        id=collection_id(order.id),
        title=order.label,
        description=_description(order),
        license="other",
        extent={
            "spatial": {"bbox": _WHOLE_EARTH},
            "temporal": {"interval": [[created, expires]]},
        },
        created=created,
        updated=wire_instant(order.updated_at),
        expires=expires,
        **{
            "order:status": status,
            "order:id": str(order.id),
            "order:date": created,
            "rsorder:status": order.status,
            "rsorder:failed": status is StacStatus.FAILED,
            "rsorder:percent": order.counters.percent if order.files_known else 0,
            "rsorder:files": _files(order) if order.files_known else None,
            "rsorder:reason": wait.reason.code,
            "rsorder:message": message_of(order, wait.reason, language),
            "rsorder:expected": _expected(wait.expected),
            "rsorder:unknown_items": list(order.unknown_items) or None,
            **(downloads.auth_schemes if assets else {}),
        },
        assets=assets,
        links=_links(order, downloads.addresses, assets, products),
    )


def _extensions(
    order: CollectedOrder, assets: Mapping[str, Any], downloads: DownloadAddresses
) -> list[str]:
    """Return the extensions whose fields the document has (S-17a)."""
    used = {
        ORDER_EXTENSION: True,
        TIMESTAMPS_EXTENSION: order.expires_at is not None,
        AUTH_EXTENSION: bool(assets and downloads.auth_refs),
        FILE_EXTENSION: any("file:size" in asset for asset in assets.values()),
    }
    return [extension for extension, is_used in used.items() if is_used]


def _description(order: CollectedOrder) -> str:
    date = f"{order.created_at:%Y-%m-%d}"
    if order.products is None:
        return f"Ordered on {date}."
    products = "1 product" if order.products == 1 else f"{order.products} products"
    return f"{products} ordered on {date}."


def _files(order: CollectedOrder) -> dict[str, int]:
    counters = order.counters
    return {
        "total": counters.total_files,
        "available": counters.available,
        "delivered": counters.files[FileState.DOWNLOADED],
        "failed": counters.to_retry,
    }


def _expected(expected: Expected | None) -> dict[str, Any] | None:
    if expected is None:
        return None
    return {
        "earliest": wire_instant(expected.earliest),
        "latest": wire_instant(expected.latest),
        "level": expected.level,
    }


def _assets(order: CollectedOrder, downloads: DownloadAddresses) -> dict[str, Any]:
    """Return the downloads of an order, as soon as there is something to download."""
    if order.status.deleted_or_expired or not _ready(order):
        return {}
    metalink = {"href": downloads.metalink(), "type": METALINK_4_TYPE, "title": "Metalink"}
    manifest = {"href": downloads.manifest(), "type": JSON, "title": "Manifest"}
    return {
        **{
            name: _archive(order, downloads, made, media_type)
            for name, (made, media_type) in _ARCHIVES.items()
        },
        "metalink": {**metalink, "roles": ["metadata"], **downloads.auth_refs},
        "manifest": {**manifest, "roles": ["metadata"], **downloads.auth_refs},
    }


def _ready(order: CollectedOrder) -> int:
    """Return the number of files that are in an archive of the whole order."""
    files = order.counters.files
    return files[FileState.AVAILABLE] + files[FileState.DOWNLOADED]


def _archive(
    order: CollectedOrder, downloads: DownloadAddresses, made: ArchiveFormat, media_type: str
) -> dict[str, Any]:
    ready, total = _ready(order), order.counters.total_files
    return without_nulls(
        href=downloads.archive(made),
        type=media_type,
        title=f"{ready} of {total} files" if ready < total else f"All {total} files",
        roles=["data", "archive"],
        **{"file:size": order.archive_bytes.get(made), **downloads.auth_refs},
    )


def _links(
    order: CollectedOrder,
    addresses: Addresses,
    assets: Mapping[str, Any],
    products: Sequence[ProductNames],
) -> list[Link]:
    items = addresses.to(LIST_ITEMS, orderId=order.id)
    links = [
        addresses.link("self", addresses.collection(order.id)),
        addresses.root(),
        addresses.link("parent", addresses.to(GET_STAC)),
        addresses.link("items", items, GEO_JSON),
        *(
            addresses.link("item", addresses.item(order.id, one.item_id(order.item_ids)), GEO_JSON)
            for one in products
        ),
        addresses.link("order", addresses.to(GET_ORDER, orderId=order.id)),
        addresses.link("monitor", addresses.to(GET_PROGRESS, orderId=order.id)),
    ]
    if "archive" in assets and order.status in (OrderStatus.DONE, OrderStatus.DONE_WITH_WARNING):
        archive = assets["archive"]
        links.append(addresses.link("enclosure", archive["href"], archive["type"]))
    if order.request is not None:
        links.append(
            addresses.link(
                "retrieve",
                addresses.to(ORDER_ITEMS),
                title="Order again",
                method="POST",
                body=order.request,
            )
        )
    return links
