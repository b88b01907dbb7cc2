"""Client of the STAC of rs-catalog: where and when products were observed (faces.md S-16)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

from rs_order.domain.identity import Caller
from rs_order.regards.http import RemoteService, TokenIssuer

MOST_IDS: Final = 100
"""The most items in one search."""
_SEARCH: Final = "/search"
_BOX_NUMBERS: Final = (4, 6)


@dataclass(frozen=True, slots=True)
class CatalogItem:
    """What the catalog knows of a product."""

    properties: Mapping[str, Any]
    """With ``datetime``, which is null if there are ``start_datetime`` and ``end_datetime``."""
    geometry: Mapping[str, Any] | None = None
    bbox: Sequence[float] | None = None
    """None without a geometry."""
    href: str | None = None
    """The address that the catalog gives it."""


class RegardsCatalogItems:
    """Reads items by their ids, with the rights of the caller."""

    def __init__(self, service: RemoteService, tokens: TokenIssuer) -> None:
        self._service = service
        self._tokens = tokens

    async def find(self, caller: Caller, ids: Sequence[str]) -> dict[str, CatalogItem]:
        """Return items by id. Those that the catalog doesn't have, or describes wrongly, are left out.

        ``ids``: at most ``MOST_IDS``.

        Raises:
            RemoteRejection, RemoteUnavailable, BadResponse: the catalog gives no usable answer.
        """
        body = {"ids": list(ids), "limit": MOST_IDS}
        answer = await self._service.post(_SEARCH, self._tokens.on_behalf(caller), body)
        features = answer.get("features") if isinstance(answer, dict) else None
        if not isinstance(features, list):
            raise self._service.bad_response(_SEARCH, "the answer has no features")
        found = {one["id"]: item_of(one) for one in features if _has_id(one)}
        return {id_: item for id_, item in found.items() if item is not None}


def item_of(feature: Mapping[str, Any]) -> CatalogItem | None:
    """Return what a feature says of its product; None if it isn't an item of STAC."""
    properties = feature.get("properties")
    if not isinstance(properties, dict) or not _is_dated(properties):
        return None
    geometry, bbox = feature.get("geometry"), feature.get("bbox")
    if geometry is None:
        return CatalogItem(properties, href=_own_address(feature))
    if not isinstance(geometry, dict) or "type" not in geometry or not _is_box(bbox):
        return None
    return CatalogItem(properties, geometry, bbox, _own_address(feature))


def _has_id(feature: Any) -> bool:
    return isinstance(feature, dict) and isinstance(feature.get("id"), str)


def _is_dated(properties: Mapping[str, Any]) -> bool:
    if properties.get("datetime") is None:
        return all(isinstance(properties.get(f"{end}_datetime"), str) for end in ("start", "end"))
    return isinstance(properties["datetime"], str)


def _is_box(bbox: Any) -> bool:
    return (
        isinstance(bbox, list)
        and len(bbox) in _BOX_NUMBERS
        and all(type(one) in {int, float} and isfinite(one) for one in bbox)
    )


def _own_address(feature: Mapping[str, Any]) -> str | None:
    links = feature.get("links")
    own = (
        one.get("href")
        for one in (links if isinstance(links, list) else ())
        if isinstance(one, dict) and one.get("rel") == "self"
    )
    found = next(own, None)
    return found if isinstance(found, str) and found.startswith(("https://", "http://")) else None
