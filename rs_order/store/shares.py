"""The weights by which tenants and users share the capacity of the service, their recent uses, and limits."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from rs_order.domain.ids import Tenant
from rs_order.domain.shares import NOTHING, Amount, LimitKind, Share, ShareKind
from rs_order.store.pool import Connection, statements

SQL = statements("shares")


class Shares:
    """The weights, uses and limits of one tenant, inside a unit of work."""

    def __init__(self, connection: Connection, tenant: Tenant) -> None:
        self._connection = connection
        self._tenant = tenant

    async def list(self, at: datetime, half_life: timedelta, users: int) -> Sequence[Share]:
        """Return the tenant, its roles with a weight, and users, those who used most first."""
        rows = await self._connection.fetch(
            SQL["list"], self._tenant, at, half_life.total_seconds(), users
        )
        return [
            Share(ShareKind(row["kind"]), row["name"], row["weight"], row["used_bytes"])
            for row in rows
        ]

    async def weight(self, kind: ShareKind, name: str) -> float | None:
        """Return the weight that was set, or None."""
        statement = "role_weight" if kind is ShareKind.ROLE else "weight"
        weight: float | None = await self._connection.fetchval(
            SQL[statement], self._tenant, _stored(kind, name)
        )
        return weight

    async def set_weight(
        self, kind: ShareKind, name: str, weight: float | None, at: datetime
    ) -> None:
        """Set a weight; None: the default."""
        if kind is not ShareKind.ROLE:
            await self._connection.execute(
                SQL["set_weight"], self._tenant, _stored(kind, name), weight, at
            )
        elif weight is None:
            await self._connection.execute(SQL["reset_role_weight"], self._tenant, name)
        else:
            await self._connection.execute(SQL["set_role_weight"], self._tenant, name, weight)

    async def limits(self) -> Mapping[LimitKind, Amount]:
        """Return the limits of the tenant, and of each of its users, as far as there are some."""
        rows = await self._connection.fetch(SQL["limits"], self._tenant)
        return {
            LimitKind(row["kind"]): Amount(row["sub_orders"], row["files"], row["bytes"])
            for row in rows
        }

    async def set_limit(self, kind: LimitKind, limit: Amount) -> None:
        """Set a limit; each 0 in it means none."""
        if limit == NOTHING:
            await self._connection.execute(SQL["reset_limit"], self._tenant, kind)
        else:
            await self._connection.execute(
                SQL["set_limit"],
                self._tenant,
                kind,
                limit.sub_orders,
                limit.files,
                limit.bytes,
            )


def _stored(kind: ShareKind, name: str) -> str:
    """Return the name in the table; that of the tenant itself is empty."""
    return "" if kind is ShareKind.TENANT else name
