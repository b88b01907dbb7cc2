"""Input files of processes."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from rs_order.domain.files import NO_CHECKSUM, CatalogFile, DataType, FileType, OtherType, identity
from rs_order.domain.ids import Checksum, DatasetTaskId, OrderId, SubOrderId, Urn
from rs_order.domain.input_batches import InputFile, InputProduct
from rs_order.domain.order import Order
from rs_order.store.pool import Connection, Row, statements
from rs_order.store.rows import affected, asker_columns, content_columns

SQL = statements("processing")


@dataclass(frozen=True, slots=True)
class StoredInput:
    """An input with its state."""

    product: Urn
    input: InputFile
    available: bool
    reason: str | None
    """The cause if it isn't available."""


class ProcessInputs:
    """Input files of processes."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def known(self, task: DatasetTaskId, identities: Sequence[str]) -> set[str]:
        """Return the identities among these that the dataset task already has as inputs."""
        rows = await self._connection.fetch(SQL["known_inputs"], task, identities)
        return {row["identity"].hex for row in rows}

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
        """Return the inputs of a sub-order by product, in the order in which they were added."""
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
        askers: Mapping[Checksum, Collection[SubOrderId]],
    ) -> list[SubOrderId]:
        """Apply storage events, as `Files.settle_by_checksum` does.

        Returns:
            The running sub-orders that changed and have no pending input left.
        """
        changed = await self._connection.fetch(
            SQL["settle_inputs"],
            orders,
            available,
            list(unavailable),
            list(unavailable.values()),
            *asker_columns(askers),
        )
        if not changed:
            return []
        rows = await self._connection.fetch(
            SQL["without_pending_inputs"], [row["sub_order_id"] for row in changed]
        )
        return [SubOrderId(row["id"]) for row in rows]

    async def count_pending(
        self, sub_orders: Sequence[SubOrderId]
    ) -> dict[SubOrderId, tuple[int, int]]:
        """Return the number and bytes of pending inputs of each sub-order that has some."""
        rows = await self._connection.fetch(SQL["count_pending_inputs"], sub_orders)
        return {SubOrderId(row["sub_order_id"]): (row["inputs"], row["bytes"]) for row in rows}

    async def give_up(self, sub_order: SubOrderId, reason: str) -> None:
        """Make the pending inputs of a sub-order unavailable, because no storage event came."""
        await self._connection.execute(SQL["give_up_inputs"], sub_order, reason)

    async def delete_used(self, sub_order: SubOrderId) -> None:
        """Delete the inputs of a sub-order, whose executions were requested, except those in ERROR."""
        await self._connection.execute(SQL["delete_used_inputs"], sub_order)

    async def delete_slice(self, order_id: OrderId, limit: int) -> int:
        """Delete up to ``limit`` inputs of an order. Return how many there were."""
        return affected(await self._connection.execute(SQL["delete_inputs"], order_id, limit))


def _columns(sub_order: SubOrderId, product: InputProduct, one: InputFile) -> tuple[object, ...]:
    """Return one value for each array parameter of ``add_inputs``, in their order."""
    file = one.file
    state, reason = _first_state(file)
    return (
        sub_order,
        identity(product.urn, file),
        product.urn,
        product.provider_id,
        product.version,
        file.data_type,
        one.key,
        *content_columns(file),
        state,
        reason,
    )


def _first_state(file: CatalogFile) -> tuple[str, str | None]:
    """Return the first state of an input, and its reason. Only stored files are requested from storage."""
    if file.external:
        return "AVAILABLE", None
    if file.defect or not file.checksum:
        return "ERROR", file.defect or NO_CHECKSUM
    return "PENDING", None


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
