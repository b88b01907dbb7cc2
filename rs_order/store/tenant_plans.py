"""A connection that keeps the plans of the tenants it served last.

PostgreSQL keeps the plan of a prepared statement for one search path, and plans anew when it differs from
that of the last execution. If tenants alternate on a connection, planning takes more time than execution. So
a connection prepares each statement several times, for up to ``MOST_PLANNED`` tenants. When a further tenant
comes, it takes the statements of the tenant that wasn't served for the longest time: then the server plans
them anew, but need not prepare them. This bounds the memory of the server's process, whatever the number of
tenants.
"""

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from rs_order.domain.ids import Tenant

if TYPE_CHECKING:  # the driver's own class can't be subscripted at run time
    DriverConnection = asyncpg.Connection[asyncpg.Record]
else:
    from asyncpg import Connection as DriverConnection

MOST_PLANNED: Final = 4
"""The tenants for which a connection keeps plans, of about 50 KiB for each statement."""


class TenantPlans:
    """The tenants for which a connection has plans; None stands for what is done for no tenant."""

    def __init__(self) -> None:
        self._marks = OrderedDict[Tenant | None, str]()
        """The mark of the statements of each tenant. The tenant that was served last is at the end."""
        self.mark = ""
        """The comment in front of the statements of the tenant that is served now."""

    def __contains__(self, tenant: Tenant | None) -> bool:
        return tenant in self._marks

    def serve(self, tenant: Tenant | None) -> None:
        """Use the plans of a tenant from now on, or let it take over those of another."""
        if tenant in self._marks:
            self._marks.move_to_end(tenant)
        elif len(self._marks) < MOST_PLANNED:
            self._marks[tenant] = f"-- plans {len(self._marks) + 1}\n"
        else:
            _, self._marks[tenant] = self._marks.popitem(last=False)
        self.mark = self._marks[tenant]


class PlanningConnection(DriverConnection):
    """A connection that prepares the statements of a transaction for its tenant.

    They have a comment in front of them. So the driver and the server take them for other statements than
    those of another tenant.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.plans = TenantPlans()
        self.tenants: set[Tenant | None] = set()
        """The tenants that it ever served; None: none of them."""
        self._mark = ""

    def serve(self, tenant: Tenant | None) -> None:
        """Execute the next statements for a tenant. They name its schema, or ``use_plans`` comes next."""
        self.plans.serve(tenant)
        self.tenants.add(tenant)
        self._mark = ""

    def use_plans(self) -> None:
        """Execute the next statements with the search path of the tenant that is served, by its plans."""
        self._mark = self.plans.mark

    async def execute(self, query: str, *parameters: Any, **options: Any) -> str:
        """Execute statements. Those without parameters aren't prepared."""
        marked = self._mark + query if parameters else query
        return await super().execute(marked, *parameters, **options)

    async def executemany(self, command: str, *parameters: Any, **options: Any) -> None:
        await super().executemany(self._mark + command, *parameters, **options)

    async def fetch(self, query: str, *parameters: Any, **options: Any) -> Any:
        return await super().fetch(self._mark + query, *parameters, **options)

    async def fetchrow(self, query: str, *parameters: Any, **options: Any) -> Any:
        return await super().fetchrow(self._mark + query, *parameters, **options)

    async def fetchval(self, query: str, *parameters: Any, **options: Any) -> Any:
        return await super().fetchval(self._mark + query, *parameters, **options)
