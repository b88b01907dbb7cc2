"""The addresses in STAC documents, as the caller sees them."""

from dataclasses import dataclass
from typing import Any, Final

from fastapi import Request

from rs_order.domain.ids import DataFileId, OrderId, Tenant
from rs_order.downloads.archive_routes import token_parameters
from rs_order.ports import OrderTokens, Resource, TokenHolder
from rs_order.rest.addresses import base_address, expand
from rs_order.rest.resources import (
    DOWNLOAD_FILE,
    DOWNLOAD_PUBLIC_FILE,
    GET_ARCHIVE_OF_ORDER,
    GET_COLLECTION,
    GET_FILE_LIST,
    GET_ITEM,
    GET_METALINK_4,
    GET_PUBLIC_ARCHIVE_OF_ORDER,
    GET_PUBLIC_FILE_LIST,
    GET_PUBLIC_METALINK_4,
    GET_STAC,
)
from rs_order.store.stac import CollectedOrder

JSON: Final = "application/json"
GEO_JSON: Final = "application/geo+json"

AUTH_SCHEMES: Final = {"bearer": {"type": "http", "scheme": "bearer"}}
AUTH_REFS: Final = ["bearer"]

Link = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Addresses:
    """Addresses below one base. Their downloads need a bearer token."""

    base: str

    @classmethod
    def of(cls, request: Request) -> "Addresses":
        return cls(base_address(request))

    def to(self, resource: Resource, **variables: object) -> str:
        return self.base + expand(resource.template, variables)

    def collection(self, order_id: OrderId) -> str:
        return self.to(GET_COLLECTION, orderId=order_id)

    def item(self, order_id: OrderId, item_id: str) -> str:
        return self.to(GET_ITEM, orderId=order_id, itemId=item_id)

    def link(self, rel: str, href: str, media_type: str = JSON, **members: Any) -> Link:
        return {"rel": rel, "type": media_type, "href": href, **members}

    def root(self) -> Link:
        return self.link("root", self.to(GET_STAC))


@dataclass(frozen=True, slots=True)
class DownloadAddresses:
    """The addresses of the downloads of one order."""

    addresses: Addresses
    order_id: OrderId
    parameters: str | None = None
    """With the order token; None: the caller sends a bearer token."""

    @classmethod
    def with_token(
        cls, addresses: Addresses, tokens: OrderTokens, tenant: Tenant, order: CollectedOrder
    ) -> "DownloadAddresses":
        """Return addresses that need nothing else, for programs that can't send headers.

        Raises:
            OrderTokensUnset: the key of order tokens is not set.
        """
        if order.expires_at is None:
            return cls(addresses, order.id)
        holder = TokenHolder(order.id, order.owner, order.role, order.expires_at)
        token = tokens.issue(tenant, holder)
        return cls(addresses, order.id, token_parameters(tenant, token))

    @property
    def auth_schemes(self) -> dict[str, Any]:
        """The member that documents with downloads have."""
        return {} if self.parameters else {"auth:schemes": AUTH_SCHEMES}

    @property
    def auth_refs(self) -> dict[str, Any]:
        """The member that each download has."""
        return {} if self.parameters else {"auth:refs": AUTH_REFS}

    def file(self, file_id: DataFileId) -> str:
        return self._to(DOWNLOAD_FILE, DOWNLOAD_PUBLIC_FILE, dataFileId=file_id)

    def archive(self, archive_format: str) -> str:
        return self._to(GET_ARCHIVE_OF_ORDER, GET_PUBLIC_ARCHIVE_OF_ORDER, format=archive_format)

    def metalink(self) -> str:
        return self._to(GET_METALINK_4, GET_PUBLIC_METALINK_4, documentId=self.order_id)

    def manifest(self) -> str:
        return self._to(GET_FILE_LIST, GET_PUBLIC_FILE_LIST, kind="json")

    def _to(self, own: Resource, public: Resource, **variables: object) -> str:
        resource = public if self.parameters else own
        address = self.addresses.to(resource, orderId=self.order_id, **variables)
        return f"{address}?{self.parameters}" if self.parameters else address
