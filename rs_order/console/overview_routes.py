"""The first page of operators: one look says whether it is well, and how much it is doing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from fastapi import Response

from rs_order.console.letter_routes import operator_of
from rs_order.console.overview import (
    Project,
    components_of,
    instances_of,
    project_of,
    services_of,
    verdict_of,
)
from rs_order.console.plots import Plot, first_hour, plot_of
from rs_order.console.visits import Pages, Visit, Visiting
from rs_order.contracts.platform_names import INSTANCE_ADMIN
from rs_order.core.instance_states import calls_in
from rs_order.dead_letters.acts import DeadLetterActs
from rs_order.domain.dead_letters import DeadLetterFilter
from rs_order.domain.ids import Tenant
from rs_order.domain.throughput import NONE, Throughput
from rs_order.ports import Health, ServedTenants
from rs_order.regards.call_watch import ServiceCalls, merged
from rs_order.rest.resources import LIST_DEAD_LETTERS
from rs_order.store.backlog import Backlog, Restores
from rs_order.store.instances import Identity, Instances
from rs_order.store.order_pages import OrderPages
from rs_order.store.tenants import Maintenance, MaintenanceState
from rs_order.store.throughputs import HourlyThroughput


@dataclass(frozen=True, slots=True)
class OverviewReads:
    """The services that the overview reads."""

    health: Health
    calls: Callable[[], Mapping[str, ServiceCalls]]
    me: Identity
    instances: Instances
    throughput: HourlyThroughput
    tenants: ServedTenants
    maintenance: Maintenance
    backlog: Backlog
    pages: OrderPages
    letters: DeadLetterActs


def serve_overview(pages: Pages, reads: OverviewReads) -> None:
    @pages.page("/overview", LIST_DEAD_LETTERS)
    async def overview(visit: Visiting) -> Response:
        texts, health = visit.texts, await reads.health.check()
        projects = await _projects(visit, reads)
        known = await reads.instances.all()
        others = [calls_in(one.state) for one in known if one.of.id != reads.me.id]
        services = services_of(merged([reads.calls(), *others]), texts)
        instances = instances_of(reads.me, health, known, texts)
        everything = visit.caller.role == INSTANCE_ADMIN
        letters = await reads.letters.count(DeadLetterFilter(), operator_of(visit))
        relay = health["relay"].details if "relay" in health else {}
        return visit.page(
            "overview.html",
            current="overview",
            instances=instances,
            plots=await _plots(visit, reads, [Tenant(one.name) for one in projects]),
            verdict=verdict_of(instances, services, letters, texts),
            components=components_of(health, texts),
            services=services,
            letters=letters,
            letters_text=texts.count("letter", letters),
            projects=projects,
            everything=everything,
            outbox=relay.get("dueRows", 0),
            outbox_seconds=int(relay.get("oldestSeconds", 0)),
        )


async def _plots(visit: Visit, reads: OverviewReads, tenants: Sequence[Tenant]) -> list[Plot]:
    """Return what the projects did together in each hour of two days."""
    hours: dict[datetime, Throughput] = {}
    for tenant in tenants:
        for hour, throughput in (
            await reads.throughput.since(tenant, first_hour(visit.now))
        ).items():
            hours[hour] = hours.get(hour, NONE) + throughput
    texts, now = visit.texts, visit.now
    restored = {hour: one.restored_files for hour, one in hours.items()}
    delivered = {hour: one.delivered_bytes for hour, one in hours.items()}
    return [
        plot_of("restored", restored, now, texts, partial(texts.count, "file")),
        plot_of("delivered", delivered, now, texts, texts.size),
    ]


async def _projects(visit: Visit, reads: OverviewReads) -> list[Project]:
    """Return the projects that the visitor may see: INSTANCE_ADMIN sees all, others their own."""
    caller = visit.caller
    served = reads.tenants.names()
    names = (
        served if caller.role == INSTANCE_ADMIN else [one for one in served if one == caller.tenant]
    )
    restores = {one.tenant: one for one in await reads.backlog.restores()}
    states = await reads.maintenance.all()
    return [
        await _project(visit, reads, name, restores.get(name), states.get(name)) for name in names
    ]


async def _project(
    visit: Visit,
    reads: OverviewReads,
    name: Tenant,
    restores: Restores | None,
    maintenance: MaintenanceState | None,
) -> Project:
    letters = await reads.letters.count(DeadLetterFilter(tenant=name), operator_of(visit))
    return project_of(
        name,
        visit.texts,
        maintenance=maintenance is not None and maintenance.active,
        orders=await reads.pages.by_status(name),
        backlog=await reads.backlog.of(name),
        restores=restores,
        letters=letters,
        own=name == visit.caller.tenant,
    )
