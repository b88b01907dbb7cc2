"""A product of an order as an item of STAC, with the files of it that can be downloaded (faces.md 2.6)."""

from collections.abc import Mapping
from typing import Any, Final

from rs_order.contracts.wire import without_nulls
from rs_order.domain.files import DataType
from rs_order.domain.instants import wire_instant
from rs_order.downloads.checksums import known_digests
from rs_order.downloads.entry_names import FreeNames, portable_name, safe_name
from rs_order.downloads.order_lists import product_of
from rs_order.regards.catalog_items import CatalogItem
from rs_order.rest.resources import GET_STAC
from rs_order.stac.addresses import GEO_JSON, DownloadAddresses
from rs_order.stac.collection import (
    AUTH_EXTENSION,
    FILE_EXTENSION,
    ORDER_EXTENSION,
    STAC_VERSION,
    TIMESTAMPS_EXTENSION,
    collection_id,
)
from rs_order.stac.status import StacStatus, is_deliverable, status_of_files
from rs_order.store.stac import CollectedOrder, OrderedFile, OrderedProduct

_MULTIHASHES: Final = {"sha256": "1220", "sha512": "1340", "sha1": "1114", "md5": "d50110"}
"""The first bytes of multihashes: code of the algorithm and length. The best one comes first (S-17a)."""


def multihash(digests: Mapping[str, str]) -> str | None:
    """Return the best digest as a multihash in lower-case hexadecimal; None if none is known.

    ``digests``: in lower-case hexadecimal, by algorithm.
    """
    for algorithm, prefix in _MULTIHASHES.items():
        if algorithm in digests:
            return prefix + digests[algorithm]
    return None


def item(
    order: CollectedOrder,
    product: OrderedProduct,
    downloads: DownloadAddresses,
    known: CatalogItem | None,
    found_at: str | None,
) -> dict[str, Any]:
    """Return the document. Place, time and properties of the product are the catalog's, if they are known.

    Without them, it is a record of the delivery.

    Args:
        order: the order of the product.
        product: the product.
        downloads: addresses of the downloads of the order.
        known: what the catalog knows of the product.
        found_at: where the catalog finds its item, if it gives no address of it.
    """
    assets = _assets(product, downloads)
    own = _properties(order, product, downloads, with_assets=bool(assets))
    place: dict[str, Any] = {"geometry": known.geometry if known else None}
    if known and known.bbox is not None:
        place["bbox"] = known.bbox
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": _extensions(order, assets, downloads),
        "id": product.item_id(order.item_ids),
        "collection": collection_id(order.id),
        **place,
        "properties": {
            **_own_description(order, product),
            **(known.properties if known else {}),
            **own,
        },
        "assets": assets,
        "links": _links(order, product, downloads, (known and known.href) or found_at),
    }


def _own_description(order: CollectedOrder, product: OrderedProduct) -> dict[str, Any]:
    """Return what an item has that the catalog doesn't know."""
    return without_nulls(datetime=wire_instant(order.created_at), title=product.provider_id)


def _properties(
    order: CollectedOrder,
    product: OrderedProduct,
    downloads: DownloadAddresses,
    *,
    with_assets: bool,
) -> dict[str, Any]:
    return without_nulls(
        expires=wire_instant(order.expires_at) if order.expires_at else None,
        **{
            "order:status": status_of_files(order, {one.state for one in product.files}),
            "order:id": str(order.id),
            "order:date": wire_instant(order.created_at),
            "rsorder:product_id": product.provider_id,
            "rsorder:product_version": product.version,
            "rsorder:has_more_files": product.has_more_files or None,
            **(downloads.auth_schemes if with_assets else {}),
        },
    )


def _extensions(
    order: CollectedOrder, assets: Mapping[str, Any], downloads: DownloadAddresses
) -> list[str]:
    """Return the extensions whose fields the document has (S-17a)."""
    used = {
        ORDER_EXTENSION: True,
        TIMESTAMPS_EXTENSION: order.expires_at is not None,
        AUTH_EXTENSION: bool(assets and downloads.auth_refs),
        FILE_EXTENSION: bool(assets),
    }
    return [extension for extension, is_used in used.items() if is_used]


def _assets(product: OrderedProduct, downloads: DownloadAddresses) -> dict[str, Any]:
    """Return the files that can be downloaded. A file keeps its name when others become available."""
    names = FreeNames()
    named = [(names.choose(one.file), one) for one in product.files]
    return {name: _asset(name, one, downloads) for name, one in named if is_deliverable(one.state)}


def _asset(name: str, ordered: OrderedFile, downloads: DownloadAddresses) -> dict[str, Any]:
    file = ordered.file
    return without_nulls(
        href=downloads.file(file.id),
        type=file.mime_type,
        roles=["data" if ordered.data_type == DataType.RAWDATA else "overview"],
        **{
            "file:size": file.size,
            "file:checksum": multihash(known_digests(file)),
            "file:local_path": local_path(product_of(file), name),
            "order:status": StacStatus.SUCCEEDED,
            "rsorder:state": ordered.state,
            **downloads.auth_refs,
        },
    )


def local_path(product: str, name: str) -> str | None:
    """Return the path under which a tool saves a file; None if the extension can't express it.

    ``name``: portable.
    """
    path = f"{portable_name(safe_name(product))}/{name}"
    return None if "'" in path else path


def _links(
    order: CollectedOrder,
    product: OrderedProduct,
    downloads: DownloadAddresses,
    item_url: str | None,
) -> list[dict[str, Any]]:
    addresses = downloads.addresses
    own = addresses.item(order.id, product.item_id(order.item_ids))
    of_order = addresses.collection(order.id)
    links = [
        addresses.link("self", own, GEO_JSON),
        addresses.link("root", addresses.to(GET_STAC)),
        addresses.link("parent", of_order),
        addresses.link("collection", of_order),
    ]
    if item_url is not None:
        links.append(addresses.link("derived_from", item_url, GEO_JSON))
    return links
