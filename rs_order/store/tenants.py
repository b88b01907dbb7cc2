"""The tenants, with their maintenance, their settings, and the use of the database behind them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg

from rs_order.domain.identity import SERVICE
from rs_order.domain.ids import Tenant
from rs_order.domain.settings import SettingValue
from rs_order.store.audit import AuditAction, AuditActor, AuditEntry, Door, record
from rs_order.store.errors import StoreError, StoreUnavailable, store_errors
from rs_order.store.every_tenant import tenants_to_resume
from rs_order.store.migrate import migrate_tenant, migrate_tenants
from rs_order.store.pool import (
    IDLE_SECONDS,
    Connection,
    Pool,
    is_tenant_name,
    single_statement,
    statements,
    tenant_schema,
    transaction,
)

SQL = statements("tenants")
SETTINGS_SQL = statements("settings")
TEST_TIMEOUT_SECONDS: Final = 5.0
FOLLOW_SECONDS: Final = 5.0
CONFIGURATION: Final = AuditActor(SERVICE, Door.CLI)
"""The service itself, which adds the tenants of its settings at the start."""
PLATFORM: Final = AuditActor("rs-admin-instance", Door.AMQP)
"""Connects and disconnects tenants by its events."""


class Tenants:
    """The tenants that this deployment serves. They are added and deactivated while it runs.

    A process answers from memory; `load` reads the changes of other processes.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._hosts: dict[Tenant, str | None] = {}
        self._inactive: frozenset[str] = frozenset()
        self._changed: Callable[[], None] = lambda: None
        self._reading = asyncio.Lock()

    def watch(self, changed: Callable[[], None]) -> None:
        """Have a function called whenever this process notices that the tenants changed."""
        self._changed = changed

    async def load(self) -> None:
        """Read the tenants again; another process may have added or deactivated some."""
        async with self._reading:  # one after the other: an older result never replaces a newer one
            with store_errors():
                async with single_statement(self._pool) as connection:
                    rows = await connection.fetch(SQL["all"])
            self._apply(rows)

    async def follow(self, seconds: float = FOLLOW_SECONDS) -> None:
        """Read the tenants from time to time, until the task is cancelled: a command may disable one."""
        while True:
            await asyncio.sleep(seconds)
            with suppress(StoreError):  # health reports it
                await self.load()

    async def to_resume(
        self,
        tenants: Sequence[Tenant],
        now: datetime,
        *,
        runs: Sequence[str],
        scheduled_run: str,
        schedule: str,
    ) -> Sequence[Tenant]:
        """Return those tenants that have work which nothing plans, or periodic runs to begin."""
        with store_errors():
            return await tenants_to_resume(
                self._pool,
                tenants,
                now,
                runs=runs,
                scheduled_run=scheduled_run,
                schedule=schedule,
            )

    def serves(self, tenant: str) -> bool:
        """True if the tenant is active."""
        return tenant in self._hosts

    def is_inactive(self, tenant: str) -> bool:
        """True if the tenant was deactivated. Its data stays until it is activated again."""
        return tenant in self._inactive

    def names(self) -> Sequence[Tenant]:
        """Return the active tenants."""
        return list(self._hosts)

    async def add(
        self, name: str, host: str | None = None, by: AuditActor = CONFIGURATION
    ) -> Tenant:
        """Provision a tenant. It can be used at once; adding it again changes only its host.

        Raises:
            InvalidTenantNameError: the name can't be part of a schema's name.
        """
        await self._provision(name, host, None, by)
        return Tenant(name)

    async def add_configured(self, names: Sequence[str]) -> None:
        """Provision the tenants of the settings that aren't served yet, see `add`.

        Raises:
            InvalidTenantNameError: a name can't be part of a schema's name. None was provisioned.
        """
        missing = [Tenant(name) for name in dict.fromkeys(names) if not self.serves(name)]
        if not missing:
            return
        await migrate_tenants(self._pool, missing, in_use=False)
        for tenant in missing:
            await self._activate(tenant, None, None, CONFIGURATION)
        await self.load()

    async def activate(self, name: str, event_at: datetime) -> bool:
        """Provision a tenant by an event of the platform; False if a newer event is known.

        Raises:
            InvalidTenantNameError: the name can't be part of a schema's name.
            StoreError: the same call can be repeated.
        """
        with store_errors():
            return await self._provision(name, None, event_at, PLATFORM)

    async def deactivate(self, name: str, event_at: datetime) -> bool:
        """Stop serving a tenant by an event of the platform; False if a newer event is known.

        The data of the tenant stays.

        Raises:
            InvalidTenantNameError: the name can't be that of a tenant.
            StoreError: the same call can be repeated.
        """
        tenant_schema(Tenant(name))
        with store_errors():
            changed = await self._change(
                AuditAction.TENANT_DISABLED, PLATFORM, Tenant(name), SQL["deactivate"], event_at
            )
            await self.load()
        return changed

    async def disable(self, name: str, by: AuditActor) -> bool:
        """Stop serving a tenant, as an operator; False if it isn't served. Its data stays."""
        with store_errors():
            changed = await self._change(
                AuditAction.TENANT_DISABLED, by, Tenant(name), SQL["disable"]
            )
            await self.load()
        return changed

    def host(self, tenant: Tenant) -> str | None:
        """Return the public address of the project as far as this process knows it; never reads the store."""
        return self._hosts.get(tenant)

    async def save_host(self, tenant: Tenant, host: str) -> None:
        """Store the public address of the project, unless this process knows that it is stored."""
        if self._hosts.get(tenant) != host:
            with store_errors():
                async with single_statement(self._pool) as connection:
                    await connection.execute(SQL["save_host"], tenant, host)
            self.remember_host(tenant, host)

    def remember_host(self, tenant: Tenant, host: str) -> None:
        """Take over an address that was read from the store elsewhere."""
        if tenant in self._hosts:
            self._hosts[tenant] = host

    def _apply(self, rows: Sequence[asyncpg.Record]) -> None:
        known = self._hosts.keys()
        self._hosts = {Tenant(row["name"]): row["host"] for row in rows if row["active"]}
        self._inactive = frozenset(row["name"] for row in rows if not row["active"])
        if known != self._hosts.keys():
            self._changed()

    async def _provision(
        self, name: str, host: str | None, event_at: datetime | None, by: AuditActor
    ) -> bool:
        """Bring the tenant's schema up to date and activate it; False if a newer event is known."""
        tenant = Tenant(name)
        await migrate_tenant(self._pool, tenant, in_use=self.serves(tenant))
        added = await self._activate(tenant, host, event_at, by)
        await self.load()
        return added

    async def _activate(
        self, tenant: Tenant, host: str | None, event_at: datetime | None, by: AuditActor
    ) -> bool:
        return await self._change(AuditAction.TENANT_ADDED, by, tenant, SQL["add"], host, event_at)

    async def _change(
        self, action: AuditAction, by: AuditActor, tenant: Tenant, statement: str, *parameters: Any
    ) -> bool:
        """Change a tenant, with an entry in the audit if its state differs; False if nothing was done."""
        async with transaction(self._pool) as connection:
            await connection.execute(SQL["lock"])
            before = await connection.fetchval(SQL["state"], tenant)
            changed = await connection.fetchval(statement, tenant, *parameters) is not None
            after = await connection.fetchval(SQL["state"], tenant)
            if before != after:
                await record(
                    connection,
                    AuditEntry(
                        action=action,
                        by=by,
                        tenant=tenant,
                        object_id=tenant,
                        before=before,
                        after=after,
                    ),
                )
        return changed


@dataclass(frozen=True, slots=True)
class MaintenanceState:
    """The maintenance of a tenant. While it is active, changes of data are rejected (rest.md 2.6, 11.2)."""

    active: bool
    since: datetime
    """When it was last switched, or else when the tenant was created."""


class Maintenance:
    """The maintenance mode of tenants. It is stored, so that all instances agree (decisions.md).

    Each method raises StoreUnavailable if the database can't be reached.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def covers(self, tenant: str) -> bool:
        """True if a tenant is active and in maintenance."""
        if not is_tenant_name(tenant):
            return False
        with store_errors():
            async with single_statement(self._pool) as connection:
                return bool(await connection.fetchval(SQL["in_maintenance"], tenant))

    async def all(self) -> Mapping[Tenant, MaintenanceState]:
        """Return the state of every active tenant."""
        with store_errors():
            async with single_statement(self._pool) as connection:
                rows = await connection.fetch(SQL["maintenance_states"])
        return {Tenant(row["name"]): MaintenanceState(row["active"], row["at"]) for row in rows}

    async def switch(self, tenant: str, *, active: bool, at: datetime, by: AuditActor) -> bool:
        """Start or end the maintenance of a tenant; False if the tenant isn't active."""
        if not is_tenant_name(tenant):
            return False
        with store_errors():
            async with transaction(self._pool) as connection:
                before = await connection.fetchval(SQL["switch_maintenance"], tenant, active, at)
                if before is not None and before != active:
                    await record(connection, _switched(tenant, by, active=active))
        return before is not None


def _switched(tenant: str, by: AuditActor, *, active: bool) -> AuditEntry:
    return AuditEntry(
        action=AuditAction.MAINTENANCE_SWITCHED,
        by=by,
        tenant=Tenant(tenant),
        object_id=tenant,
        before=not active,
        after=active,
    )


class StoredSettings:
    """The settings that a tenant has set. The domain decides which values are valid; none is secret."""

    def __init__(self, connection: Connection, tenant: Tenant) -> None:
        self._connection = connection
        self._tenant = tenant

    async def all(self) -> Mapping[str, Any]:
        """Return the values that were set, by name."""
        return {
            row["name"]: row["value"] for row in await self._connection.fetch(SETTINGS_SQL["all"])
        }

    async def put(
        self, name: str, value: SettingValue, by: AuditActor, reason: str | None = None
    ) -> bool:
        """Set a value. True if the setting had another value, or none."""
        before = (await self.all()).get(name)
        changed = await self._connection.fetchval(SETTINGS_SQL["put"], name, value) is not None
        if changed:
            entry = AuditEntry(
                action=AuditAction.SETTING_CHANGED,
                by=by,
                tenant=self._tenant,
                object_id=name,
                before=before,
                after=value,
                reason=reason,
            )
            await record(self._connection, entry)
        return changed

    async def remove(self, name: str, by: AuditActor, reason: str | None = None) -> bool:
        """Delete a value, so that the default applies. True if there was one."""
        before = (await self.all()).get(name)
        removed = await self._connection.fetchval(SETTINGS_SQL["remove"], name) is not None
        if removed:
            entry = AuditEntry(
                action=AuditAction.SETTING_RESET,
                by=by,
                tenant=self._tenant,
                object_id=name,
                before=before,
                reason=reason,
            )
            await record(self._connection, entry)
        return removed


@dataclass(frozen=True, slots=True)
class ConnectionUse:
    """The use of this process's connections, which all tenants share."""

    most: int
    fewest: int
    """Kept open without load."""
    idle_milliseconds: int
    """An idle connection is closed after this time."""
    open: int
    idle: int

    @property
    def active(self) -> int:
        return self.open - self.idle


class DataSource:
    """The database behind a tenant, as administrators see it (rest.md 11.4)."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def use(self) -> ConnectionUse:
        """Return the present use of the connections."""
        return ConnectionUse(
            most=self._pool.size,
            fewest=self._pool.fewest,
            idle_milliseconds=IDLE_SECONDS * 1000,
            open=self._pool.open,
            idle=self._pool.idle,
        )

    async def test(self, tenant: Tenant) -> None:
        """Read a table of the tenant's schema.

        Raises:
            StoreUnavailable: it can't be read; the text is the error of the database.
        """
        try:
            with store_errors():
                await self._read(tenant)
        except asyncpg.PostgresError as error:  # the schema or its table is not what it should be
            raise StoreUnavailable(f"{type(error).__name__}: {error}") from error

    async def _read(self, tenant: Tenant) -> None:
        async with (
            asyncio.timeout(TEST_TIMEOUT_SECONDS),
            transaction(self._pool, tenant, readonly=True) as connection,
        ):
            await connection.fetch(SETTINGS_SQL["all"])
