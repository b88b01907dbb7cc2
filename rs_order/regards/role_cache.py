"""Caches in this process the rights of the roles of every project, as decided in rs-admin.

The cache is filled at the start, after events about rights, and from time to time in case an event was lost.
While rs-admin is unavailable the last known rights apply. Rights that were never received are unknown:
they neither allow nor forbid anything.
"""

import asyncio
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

import structlog
from prometheus_client import Counter

from rs_order.domain.ids import Tenant
from rs_order.domain.retry import Backoff
from rs_order.ports import Resource, RightsUnknown, ServedTenants
from rs_order.regards.role_rights import RegardsRoles, RightsByRole

CONCURRENT_TENANTS: Final = 4
"""Projects whose rights are requested at the same time."""
LONGEST_WAIT_SECONDS: Final = 5.0
"""How long a REST call waits for rights that are being requested."""

_failures = Counter("rs_order_roles_failed", "Attempts to learn a project's rights in vain")

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Request:
    """A request to rs-admin for one project; later ones are merged into it until it is sent."""

    register: bool = False
    all_roles: bool = False
    roles: set[str] = field(default_factory=set)

    def add(self, other: "_Request") -> None:
        """Merge another request into this one."""
        self.register |= other.register
        self.all_roles |= other.all_roles
        self.roles |= other.roles


class RoleCache:
    """Implements :class:`rs_order.ports.RoleAccess`; ``run`` keeps the cache up to date."""

    def __init__(
        self,
        roles: RegardsRoles,
        tenants: ServedTenants,
        *,
        refresh: timedelta,
        backoff: Backoff,
    ) -> None:
        """Create an empty cache.

        Args:
            roles: the client of rs-admin.
            tenants: the tenants whose rights are cached.
            refresh: how often all rights are requested again.
            backoff: the pauses between attempts, which never end.
        """
        self._roles = roles
        self._tenants = tenants
        self._refresh = refresh
        self._backoff = backoff
        self._rights: dict[Tenant, RightsByRole] = {}
        self._requests: dict[Tenant, _Request] = {}
        self._errors: dict[Tenant, str] = {}
        self._answers: dict[Tenant, asyncio.Event] = {}
        self._tasks: dict[Tenant, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._concurrency = asyncio.Semaphore(CONCURRENT_TENANTS)
        self._stopping = asyncio.Event()

    async def prepare(self, tenant: Tenant) -> None:
        answer = None if tenant in self._rights else self._answers.get(tenant)
        if answer is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(LONGEST_WAIT_SECONDS):
                    await answer.wait()

    def allows(self, tenant: Tenant, role: str, resource: Resource) -> bool:
        rights = self._known(tenant).get(role)
        return rights is not None and resource.key in rights.resources

    def admits(self, tenant: Tenant, role: str, address: str) -> bool:
        rights = self._known(tenant).get(role)
        return rights is None or rights.admits(address)

    @property
    def unknown(self) -> dict[Tenant, str]:
        """Return the projects whose rights were never received, each with the last error."""
        tenants = [tenant for tenant in self._tenants.names() if tenant not in self._rights]
        return {tenant: self._errors.get(tenant, "not asked yet") for tenant in tenants}

    def tenants_changed(self) -> None:
        """Request the rights of new projects, and drop those of projects no longer served."""
        served = set(self._tenants.names())
        for tenant in served - self._rights.keys() - self._requests.keys() - self._tasks.keys():
            self.register(tenant)
        for tenant in self._rights.keys() - served:
            del self._rights[tenant]

    def register(self, tenant: Tenant) -> None:
        """Register the endpoints and request all rights: the project is new to rs-admin."""
        self._request(tenant, _Request(register=True, all_roles=True))

    def roles_changed(self, tenant: Tenant) -> None:
        self._request(tenant, _Request(all_roles=True))

    def role_changed(self, tenant: Tenant, role: str) -> None:
        """Request the rights of one role."""
        self._request(tenant, _Request(roles={role}))

    async def run(self) -> None:
        """Carry out requests until ``stop``."""
        try:
            async with asyncio.TaskGroup() as self._group:
                for tenant in self._requests:
                    self._start(tenant)
                self.tenants_changed()
                while not await self._stopped_within(self._refresh.total_seconds()):
                    await self._refresh_all()
                for task in self._tasks.values():
                    task.cancel()
        finally:
            self._group = None

    async def stop(self) -> None:
        self._stopping.set()

    async def _refresh_all(self) -> None:
        """Request all rights: events may have been lost while the broker was unavailable."""
        try:
            await self._tenants.load()
        except Exception:
            log.exception("tenants-not-loaded")
        for tenant in self._tenants.names():
            self.roles_changed(tenant)

    def _known(self, tenant: Tenant) -> RightsByRole:
        """Return the rights of a project; none if it isn't served.

        Raises:
            RightsUnknown: the project is served, and rs-admin never answered.
        """
        rights = self._rights.get(tenant)
        if rights is None and self._tenants.serves(tenant):
            raise RightsUnknown(tenant)
        return rights or {}

    def _request(self, tenant: Tenant, request: _Request) -> None:
        self._requests.setdefault(tenant, _Request()).add(request)
        self._start(tenant)

    def _start(self, tenant: Tenant) -> None:
        if self._group is not None and tenant not in self._tasks and not self._stopping.is_set():
            self._answers.setdefault(tenant, asyncio.Event())
            # In a context of its own: the task outlives the message that caused the request.
            self._tasks[tenant] = self._group.create_task(
                self._refresh_tenant(tenant), context=Context()
            )

    async def _refresh_tenant(self, tenant: Tenant) -> None:
        """Carry out all requests of a project; repeat a failed one after growing pauses."""
        failed = 0
        try:
            while request := self._requests.pop(tenant, None):
                if await self._attempted(tenant, request):
                    failed = 0
                    continue
                failed += 1
                pause = self._backoff.pause(failed).total_seconds()
                if await self._stopped_within(pause):
                    return
        finally:
            del self._tasks[tenant]

    async def _attempted(self, tenant: Tenant, request: _Request) -> bool:
        """Return True if the request was carried out; otherwise it is requested again."""
        answer = self._answers.setdefault(tenant, asyncio.Event())
        try:
            async with self._concurrency:
                if self._tenants.serves(tenant):
                    await self._carry_out(tenant, request)
        except Exception as error:  # noqa: BLE001 - no error may stop the other projects
            _failures.inc()
            self._errors[tenant] = str(error)
            self._requests.setdefault(tenant, _Request()).add(request)
            log.warning("roles-not-loaded", tenant=tenant, cause=str(error))
            return False
        finally:
            answer.set()
            del self._answers[tenant]
        self._errors.pop(tenant, None)
        return True

    async def _carry_out(self, tenant: Tenant, request: _Request) -> None:
        known = self._rights.get(tenant)
        registering = request.register or known is None
        if registering:
            await self._roles.register(tenant)
        if request.all_roles or known is None or not request.roles <= known.keys():
            rights = await self._roles.rights(tenant)
        else:
            rights = dict(known)
            for role in request.roles:
                resources = await self._roles.resources(tenant, role)
                rights[role] = replace(known[role], resources=resources)
        self._rights[tenant] = rights
        log.info("roles-loaded", tenant=tenant, roles=len(rights), registered=registering)

    async def _stopped_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        return self._stopping.is_set()
