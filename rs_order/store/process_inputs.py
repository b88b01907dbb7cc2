"""Files that go into processes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from rs_order.domain.files import NO_CHECKSUM, CatalogFile, DataType, FileType, OtherType, identity
from rs_order.domain.ids import Checksum, DatasetTaskId, OrderId, SubOrderId, Urn
from rs_order.domain.input_batches import InputFile, InputProduct
from rs_order.domain.order import Order
from rs_order.store.pool import Connection, Row
from rs_order.store.rows import affected
from rs_order.store.statements import statements

SQL = statements("processing")


@dataclass(frozen=True, slots=True)
class StoredInput:
    """An input with what became of it."""

    product: Urn
    input: InputFile
    available: bool
    reason: str | None
    """Why it can't be had."""


class ProcessInputs:
    """Files that go into processes."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def known(self, task: DatasetTaskId, identities: Sequence[UUID]) -> set[UUID]:
        """Those of the files (by their identity) that the dataset task takes already."""
        rows = await self._connection.fetch(SQL["known_inputs"], task, identities)
        # The driver's UUIDs equal those of the standard library and hash alike.
        return {row["identity"] for row in rows}

    async def add(
        self,
        order: Order,
        task: DatasetTaskId,
        products: Sequence[tuple[SubOrderId, InputProduct]],
    ) -> None:
        rows = [
            _columns(sub_order, product, one)
            for sub_order, product in products
            for one in product.inputs
        ]
        if rows:
            columns = zip(*rows, strict=True)
            await self._connection.execute(
                SQL["add_inputs"], order.id, task, *(list(column) for column in columns)
            )

    async def products(self, sub_order: SubOrderId) -> list[InputProduct]:
        """Everything that goes into a sub-order, in the order in which it was added."""
        found: dict[str, tuple[Row, list[InputFile]]] = {}
        for row in await self._connection.fetch(SQL["inputs"], sub_order):
            found.setdefault(row["product_urn"], (row, []))[1].append(_input_of(row))
        return [
            InputProduct(Urn(urn), row["product_id"], row["product_version"], tuple(inputs))
            for urn, (row, inputs) in found.items()
        ]

    async def of_sub_order(self, sub_order: SubOrderId) -> list[StoredInput]:
        return [
            StoredInput(
                Urn(row["product_urn"]), _input_of(row), row["state"] == "AVAILABLE", row["reason"]
            )
            for row in await self._connection.fetch(SQL["inputs"], sub_order)
        ]

    async def settle_by_checksum(
        self,
        orders: Sequence[OrderId],
        available: Sequence[Checksum],
        unavailable: Mapping[Checksum, str],
    ) -> list[SubOrderId]:
        """Apply what storage said; the running sub-orders it changed that wait for no input any more."""
        changed = await self._connection.fetch(
            SQL["settle_inputs"], orders, available, list(unavailable), list(unavailable.values())
        )
        if not changed:
            return []
        rows = await self._connection.fetch(
            SQL["without_pending_inputs"], [row["sub_order_id"] for row in changed]
        )
        return [SubOrderId(row["id"]) for row in rows]

    async def count_pending(self, sub_orders: Sequence[SubOrderId]) -> dict[SubOrderId, int]:
        """Return how many inputs of each sub-order storage still has to settle; without those of none."""
        rows = await self._connection.fetch(SQL["count_pending_inputs"], sub_orders)
        return {SubOrderId(row["sub_order_id"]): row["inputs"] for row in rows}

    async def give_up(self, sub_order: SubOrderId, reason: str) -> None:
        """Inputs that storage never answered for can't be had."""
        await self._connection.execute(SQL["give_up_inputs"], sub_order, reason)

    async def forget(self, sub_order: SubOrderId) -> None:
        """The executions are asked for: only inputs that could not be had are still worth keeping."""
        await self._connection.execute(SQL["forget_inputs"], sub_order)

    async def delete_slice(self, order_id: OrderId, limit: int) -> int:
        """Delete up to ``limit`` inputs of an order; how many went."""
        return affected(await self._connection.execute(SQL["delete_inputs"], order_id, limit))


def _columns(sub_order: SubOrderId, product: InputProduct, one: InputFile) -> tuple[object, ...]:
    """One value per array of ``add_inputs``, in the order of its parameters."""
    file = one.file
    state, reason = _birth(file)
    return (
        sub_order,
        identity(product.urn, file),
        product.urn,
        product.provider_id,
        product.version,
        file.data_type,
        one.key,
        file.name,
        file.url,
        file.external,
        file.online,
        file.size,
        file.checksum,
        file.checksum_algorithm,
        file.mime_type,
        state,
        reason,
    )


def _birth(file: CatalogFile) -> tuple[str, str | None]:
    """The state an input is born in, and why: only what storage holds has to be asked for."""
    if file.external:
        return "AVAILABLE", None
    return ("PENDING", None) if file.checksum else ("ERROR", NO_CHECKSUM)


def _input_of(row: Row) -> InputFile:
    return InputFile(
        key=row["key"],
        file=CatalogFile(
            data_type=_type_of(row["data_type"]),
            name=row["name"],
            url=row["url"],
            external=row["external"],
            size=row["size"],
            checksum=Checksum(row["checksum"]) if row["checksum"] is not None else None,
            checksum_algorithm=row["checksum_algorithm"],
            mime_type=row["mime_type"],
            online=row["online"],
        ),
    )


def _type_of(name: str) -> FileType:
    return DataType(name) if name in set(DataType) else OtherType(name)
