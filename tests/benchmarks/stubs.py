"""Stubs of the platform's services at the ports, so that a measurement measures the service alone.

A benchmark that needs another catalog passes its own. What isn't replaced is as in production, for example
the file sources, which a benchmark leads to a server of its own by ``storage_url``.
"""

# ruff: noqa: ARG002 - the signatures are the ports'

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import Any

from rs_order.app.platform_clients import OpenClients, PlatformClients, open_platform_clients
from rs_order.contracts.administration import ResourceMapping
from rs_order.domain.files import CatalogFile, DataType, Product
from rs_order.domain.identity import Caller
from rs_order.domain.ids import Checksum, Tenant, Urn
from rs_order.domain.selection import DatasetSummary, SelectionRequest, Summary, TypeTotals
from rs_order.ports import Catalog, FoundPage, User, Users
from rs_order.settings import Settings
from rs_order.store.tenants import Tenants

ROLE = "REGISTERED_USER"
ADMINISTRATOR = "admin@example.org"


class StubUsers:
    """Implements ``Users``: every user is known; one is an administrator."""

    async def find(self, tenant: Tenant, email: str) -> User | None:
        return User(email, ROLE)

    async def is_admin(self, tenant: Tenant, email: str) -> bool:
        return email == ADMINISTRATOR


@dataclass(frozen=True)
class StubCatalog:
    """Implements ``Catalog``: one dataset per tenant, whose products follow from their numbers.

    The query ``all`` finds every product, the query ``7`` finds the product with the number 7. The parts of a
    product are the same whatever the query, so a file is known by the numbers of its product and itself.
    """

    products: int = 1_000_000
    files_per_product: int = 1
    file_bytes: int = 1024
    online: bool = False
    """The location that the catalog gives for the files. Storage is asked for them in any case."""
    external: bool = False
    """True: the files are known by their URLs only, so they are available at once."""

    async def summarize(self, caller: Caller, requests: Sequence[SelectionRequest]) -> Summary:
        products = sum(len(self._numbers(request)) for request in requests)
        files = products * self.files_per_product
        totals = TypeTotals(files, files * self.file_bytes, files if self.external else 0)
        dataset = DatasetSummary(
            dataset_urn(caller.tenant), products, files, totals.bytes, {DataType.RAWDATA: totals}
        )
        return Summary(products, files, totals.bytes, (dataset,))

    async def search(
        self,
        caller: Caller,
        requests: Sequence[SelectionRequest],
        *,
        page: int,
        size: int,
        every_type: bool = False,
    ) -> FoundPage:
        found = [self._numbers(request) for request in requests]
        start, stop = page * size, (page + 1) * size
        # A range is sliced at once; the numbers of several requests are counted up to the page.
        some = found[0][start:stop] if len(found) == 1 else [*islice(chain(*found), start, stop)]
        products = tuple(self.product(caller.tenant, number) for number in some)
        return FoundPage(products, sum(map(len, found)))

    async def dataset_label(self, caller: Caller, urn: Urn) -> str | None:
        return f"Dataset of {caller.tenant}"

    def product(self, tenant: Tenant, number: int) -> Product:
        """Return the product with a number."""
        files = tuple(
            self._file(tenant, number, position) for position in range(self.files_per_product)
        )
        urn = Urn(f"URN:AIP:DATA:{tenant}:00000000-0000-5000-8000-{number:012x}:V1")
        return Product(urn, f"product_{number}", 1, files)

    def _numbers(self, request: SelectionRequest) -> range:
        (query,) = request.search_parameters["q"]
        return range(self.products) if query == "all" else range(int(query), int(query) + 1)

    def _file(self, tenant: Tenant, number: int, position: int) -> CatalogFile:
        name = f"file_{number}_{position}.dat"
        return CatalogFile(
            data_type=DataType.RAWDATA,
            name=name,
            url=f"http://storage.example.org/{tenant}/{name}",
            external=self.external,
            size=self.file_bytes,
            checksum=None if self.external else checksum_of(number, position),
            checksum_algorithm=None if self.external else "MD5",
            mime_type="application/octet-stream",
            online=self.online,
        )


def dataset_urn(tenant: Tenant) -> Urn:
    """Return the URN of a tenant's dataset."""
    return Urn(f"URN:AIP:DATASET:{tenant}:00000000-0000-5000-8000-000000000000:V1")


def checksum_of(product: int, position: int = 0) -> Checksum:
    """Return the checksum of a file of a product."""
    return Checksum(f"{product:024x}{position:08x}")


@dataclass(frozen=True)
class Stubs:
    """The stubs that replace clients of the platform's services."""

    catalog: Catalog = field(default_factory=StubCatalog)
    users: Users = field(default_factory=StubUsers)
    others: dict[str, Any] = field(default_factory=dict)
    """Further members of ``PlatformClients``."""

    @property
    def open_clients(self) -> OpenClients:
        """The replacement of ``open_platform_clients``."""

        @asynccontextmanager
        async def open_stubbed(
            settings: Settings, tenants: Tenants, endpoints: Sequence[ResourceMapping]
        ) -> AsyncIterator[PlatformClients]:
            async with open_platform_clients(settings, tenants, endpoints) as clients:
                yield replace(clients, catalog=self.catalog, users=self.users, **self.others)

        return open_stubbed
