"""The page of the projects: state, version of the schema, size, and maintenance on and off (console.md 4)."""

from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import Path, Query, Response

from rs_order.console.paging import Neighbours
from rs_order.console.visits import Pages, Tone, Visit, Visiting
from rs_order.contracts.platform_names import INSTANCE_ADMIN
from rs_order.core.errors import NotFound
from rs_order.rest.access import audit_actor, is_system, require_own_tenant
from rs_order.rest.resources import DISABLE_MAINTENANCE, ENABLE_MAINTENANCE, GET_MAINTENANCE
from rs_order.store.projects import Projects
from rs_order.tenants.maintenance import SwitchMaintenance

PAGE_SIZE: Final = 50
_PLACE: Final = "projects"
Name = Annotated[str, Path(alias="tenant", max_length=255)]


@dataclass(frozen=True, slots=True)
class ProjectReads:
    """The projects, and the use case that switches their maintenance."""

    projects: Projects
    maintenance: SwitchMaintenance


def serve_projects(pages: Pages, reads: ProjectReads) -> None:
    @pages.page("/projects", GET_MAINTENANCE)
    async def show_projects(
        visit: Visiting, after: Annotated[str, Query(max_length=255)] = ""
    ) -> Response:
        names = None if _sees_all(visit) else [visit.caller.tenant]
        found = await reads.projects.page(names, after=after, limit=PAGE_SIZE + 1)
        root, rows = f"{visit.root}/{_PLACE}", found[:PAGE_SIZE]
        more = len(found) > PAGE_SIZE
        return visit.page(
            "projects.html",
            current=_PLACE,
            rows=rows,
            pages=Neighbours(
                root if after else None,
                f"{root}?{urlencode({'after': rows[-1].name})}" if more else None,
            ),
            may_begin=visit.may(ENABLE_MAINTENANCE),
            may_end=visit.may(DISABLE_MAINTENANCE),
        )

    @pages.page("/projects/{tenant}/maintenance", ENABLE_MAINTENANCE)
    async def ask_maintenance(visit: Visiting, tenant: Name) -> Response:
        require_own_tenant(visit.caller, tenant)
        if not await reads.projects.page([tenant], limit=1):
            raise NotFound(visit.texts("projects.absent", project=tenant))
        return visit.page(
            "confirm.html",
            title=visit.texts("confirm.maintenance.title", project=tenant),
            subject=tenant,
            text=visit.texts("confirm.maintenance.text"),
            action=f"projects/{tenant}/maintenance/on",
            act=visit.texts("act.maintenance.on"),
            symbol="pause",
            style="danger",
            back=_PLACE,
            fields=[],
        )

    @pages.act("/projects/{tenant}/maintenance/on", ENABLE_MAINTENANCE)
    async def begin_maintenance(visit: Visiting, tenant: Name) -> Response:
        return await _switched(visit, reads.maintenance, tenant, active=True)

    @pages.act("/projects/{tenant}/maintenance/off", DISABLE_MAINTENANCE)
    async def end_maintenance(visit: Visiting, tenant: Name) -> Response:
        return await _switched(visit, reads.maintenance, tenant, active=False)


async def _switched(
    visit: Visit, maintenance: SwitchMaintenance, tenant: str, *, active: bool
) -> Response:
    require_own_tenant(visit.caller, tenant)
    try:
        await maintenance.handle(tenant, active=active, by=audit_actor(visit.caller))
    except NotFound:
        absent = visit.texts("projects.absent", project=tenant)
        return visit.back(_PLACE, "did.maintenance.rejected", tone=Tone.BAD, text=absent)
    return visit.back(_PLACE, f"did.maintenance.{'on' if active else 'off'}", project=tenant)


def _sees_all(visit: Visit) -> bool:
    return visit.caller.role == INSTANCE_ADMIN or is_system(visit.caller)
