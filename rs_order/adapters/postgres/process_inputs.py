"""Files that go into processes."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from rs_order.adapters.postgres.driver import Connection, Row
from rs_order.adapters.postgres.rows import affected
from rs_order.adapters.postgres.statements import statements
from rs_order.domain.files import CatalogFile, DataType, FileType, OtherType, identity
from rs_order.domain.ids import Checksum, DatasetTaskId, OrderId, SubOrderId, Urn
from rs_order.domain.order import Order
from rs_order.domain.windows import InputFile, InputProduct
from rs_order.ports.store import StoredInput

SQL = statements("processing")
NO_CHECKSUM = "The catalog gives no checksum for it, and storage knows files by checksum only."


class PostgresProcessInputs:
    """Implements :class:`rs_order.ports.store.ProcessInputs`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def known(self, task: DatasetTaskId, identities: Sequence[UUID]) -> set[UUID]:
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
        changed = await self._connection.fetch(
            SQL["settle_inputs"], orders, available, list(unavailable), list(unavailable.values())
        )
        if not changed:
            return []
        rows = await self._connection.fetch(
            SQL["without_pending_inputs"], [row["sub_order_id"] for row in changed]
        )
        return [SubOrderId(row["id"]) for row in rows]

    async def give_up(self, sub_order: SubOrderId, reason: str) -> None:
        await self._connection.execute(SQL["give_up_inputs"], sub_order, reason)

    async def forget(self, sub_order: SubOrderId) -> None:
        await self._connection.execute(SQL["forget_inputs"], sub_order)

    async def delete_slice(self, order_id: OrderId, limit: int) -> int:
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
