"""Checks and runs imports: plan, copy, compare, and let the orders under way go on."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from rs_order.core.errors import UseCaseRejected
from rs_order.core.settlement import Cause, Settlement
from rs_order.core.shared_steps import CompleteOrderStep, ExpireOrderStep
from rs_order.domain.errors import SettingRejectedError
from rs_order.domain.identity import SERVICE
from rs_order.domain.ids import OrderId, Tenant
from rs_order.domain.moves import Reason
from rs_order.domain.settings import DEFINITIONS, SettingValue, TenantSettings
from rs_order.moving_in.copy import (
    CopySlices,
    NoRows,
    SliceLimits,
    new_labels,
    plan_slices,
    strays,
)
from rs_order.moving_in.report import Report, compared
from rs_order.moving_in.requests import WaitingRequests, waiting_requests
from rs_order.moving_in.rules import Amount, Rule, Tally
from rs_order.moving_in.templates import ConvertedTemplate, convert
from rs_order.orders.order_end import CancelOrders
from rs_order.ports import Clock
from rs_order.requests.accept import AcceptRequests, ArrivedRequest
from rs_order.store.audit import AuditActor
from rs_order.store.java_source import JavaSource
from rs_order.store.moved_orders import BegunImport, MovedOrders, Slice, SliceKind
from rs_order.store.unit_of_work import Store, UnitOfWork

ORDERS_AT_A_TIME: Final = 500
"""Orders that one commit lets go on."""
WRITING_FACTOR: Final = 1.5
"""How many times longer an import takes than a check, which reads the same and writes nothing."""
_LANGUAGES: Final = ("en", "fr")


class MovingInRefused(UseCaseRejected):
    """An import can't begin. The text says why and what to do."""

    code = "import-refused"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an import or a check has come."""

    rows: int
    all_rows: int
    bytes: int
    all_bytes: int
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class Target:
    """This side of an import."""

    tenant: Tenant
    moved: MovedOrders
    store: Store
    settlement: Settlement
    accept: AcceptRequests
    cancel: CancelOrders
    clock: Clock
    by: AuditActor
    deactivate: Callable[[], Awaitable[object]]
    """Stop serving the tenant: nothing may work on orders that aren't all there."""
    activate: Callable[[], Awaitable[object]]
    """Serve it, and resume its work."""


@dataclass(frozen=True, slots=True)
class Options:
    """How an import is done."""

    workers: int = 2
    limits: SliceLimits = SliceLimits()  # noqa: RUF009 - a frozen value
    templates: Path | None = None
    """The folder for mail templates; None: they aren't written."""
    even_if_running: bool = False


class _Meter:
    """Measures the progress."""

    def __init__(self, slices: Sequence[Slice], report: Callable[[Progress], None]) -> None:
        self._all_rows = sum(one.files for one in slices)
        self._all_bytes = sum(one.bytes for one in slices)
        self._rows = sum(one.files for one in slices if one.copied)
        self._bytes = sum(one.bytes for one in slices if one.copied)
        self._before = self._rows
        self._report = report
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def add(self, rows: int, size: int) -> None:
        self._rows += rows
        self._bytes += size
        done = self._rows - self._before
        left = (self._all_rows - self._rows) * self.seconds / done if done else None
        self._report(
            Progress(
                min(self._rows, self._all_rows),
                self._all_rows,
                self._bytes,
                self._all_bytes,
                None if left is None else max(left, 0),
            )
        )


class MovingIn:
    """Takes over one project of a Java service into one tenant."""

    def __init__(
        self,
        source: JavaSource,
        target: Target,
        options: Options,
        progress: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        self._source = source
        self._target = target
        self._options = options
        self._progress = progress

    async def check(self) -> Report:
        """Read everything and write nothing.

        Raises:
            MovingInRefused: the source shows signs of life, and the options don't allow that.
            SourceUnusable: it can't be read.
        """
        signs = await self._signs_of_life()
        if signs and not self._options.even_if_running:
            raise MovingInRefused(
                f"The Java service works with {self._source.address}: {'; '.join(signs)}. "
                "Give --even-if-running to check nevertheless"
            )
        slices = await plan_slices(self._source, self._options.limits)
        meter = _Meter(slices, self._progress)
        copy = await self._copier(meter)
        tally = Tally()

        async def read(one: Slice) -> None:
            tally.merge((await copy.copy(one, NoRows())).record())

        await self._with_workers(slices, read)
        read_seconds = meter.seconds
        _, settings, templates = await self._rest(tally)
        del settings
        lines, differences = compared(tally, await self._counted(), None)
        return Report(
            tenant=self._target.tenant,
            source=str(self._source.address),
            at=self._target.clock.now(),
            lines=lines,
            tally=tally,
            # A service that works changes what was read before.
            differences=() if signs else differences,
            signs_of_life=signs,
            seconds=read_seconds * WRITING_FACTOR,
            templates=[template.code for template in templates],
        )

    async def run(self) -> dict[str, Any]:
        """Import everything, or go on where an import was stopped. Return the report as JSON.

        Raises:
            MovingInRefused: it can't begin.
            SourceUnusable: the source can't be read.
        """
        moved = self._target.moved
        begun = await self._begun()
        if begun is not None and begun.ended_at is not None:
            return dict(begun.report)
        await self._target.deactivate()
        if begun is None:
            await self._begin()
        if begun is None or not begun.sliced:
            await moved.plan(await plan_slices(self._source, self._options.limits))
        if begun is None or begun.copied_at is None:
            await self._copy()
        return await self._finish()

    async def _begun(self) -> BegunImport | None:
        """Return the import that goes on, or None if a new one may begin.

        Raises:
            MovingInRefused: neither is the case.
        """
        moved, tenant = self._target.moved, self._target.tenant
        begun = await moved.begun()
        if begun is not None and begun.source != str(self._source.address):
            raise MovingInRefused(
                f"An import of {tenant} from {begun.source} has begun, which isn't "
                f"{self._source.address}: give the same source"
            )
        if begun is not None and begun.ended_at is not None:
            return begun
        if begun is None and await moved.is_used():
            raise MovingInRefused(
                f"The tenant {tenant} has orders, requests or baskets of its own, and their numbers may "
                "be those of the source. Import into a new tenant"
            )
        if begun is None and not await moved.may_raise_sequences():
            raise MovingInRefused(
                f"The role of RS_ORDER_DATABASE_URL may not raise the sequences of the tenant {tenant}. "
                "Import with the role that owns its schema"
            )
        if signs := await self._signs_of_life():
            raise MovingInRefused(
                f"The Java service works with {self._source.address}: {'; '.join(signs)}. Stop it, wait "
                "five minutes, and repeat the command"
            )
        return begun

    async def _begin(self) -> None:
        async with self._source.snapshot() as snapshot:
            highest = {row["name"]: row["id"] for row in await snapshot.rows("highest")}
        await self._target.moved.begin(str(self._source.address), self._target.clock.now(), highest)

    async def _copy(self) -> None:
        """Copy the slices that are left: the orders, then the baskets that refer to them."""
        moved = self._target.moved
        slices = {kind: await moved.slices(kind) for kind in SliceKind}
        meter = _Meter([one for kind in SliceKind for one in slices[kind]], self._progress)
        copy = await self._copier(meter)

        async def write(one: Slice) -> None:
            async with moved.slice(one) as rows:
                if rows is not None:
                    tally = await copy.copy(one, rows)
                    await rows.end(one, tally.record())

        for kind in (SliceKind.ORDERS, SliceKind.BASKETS):
            await self._with_workers([one for one in slices[kind] if not one.copied], write)

    async def _copier(self, meter: _Meter) -> CopySlices:
        values, _ = await self._settings(Tally())
        return CopySlices(
            self._source,
            TenantSettings.of(values),
            await new_labels(self._source),
            now=self._target.clock.now(),
            progress=meter.add,
        )

    async def _with_workers(
        self, slices: Sequence[Slice], work: Callable[[Slice], Awaitable[None]]
    ) -> None:
        left = iter(slices)

        async def worker() -> None:
            for one in left:
                await work(one)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._options.workers):
                    group.create_task(worker())
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors

    async def _finish(self) -> dict[str, Any]:
        """Compare both sides. If they agree, let the orders go on and serve the tenant."""
        target = self._target
        tally = Tally()
        for kind in SliceKind:
            async for record in target.moved.tallies(kind):
                tally.merge(record)
        waiting, settings, templates = await self._rest(tally)
        begun = await target.moved.begun()
        already_compared = begun is not None and begun.copied_at is not None
        here = None if already_compared else _by_state(await target.moved.count())
        lines, differences = compared(tally, await self._counted(), here)
        report = Report(
            tenant=target.tenant,
            source=str(self._source.address),
            at=target.clock.now(),
            lines=lines,
            tally=tally,
            differences=differences,
            templates=self._written(templates),
        ).to_json()
        if differences:
            return report
        if not already_compared:
            await target.moved.copied(target.clock.now(), report)
        await self._save_settings(settings)
        await self._go_on()
        await self._take_requests(waiting)
        await target.activate()
        await target.moved.ended(target.clock.now(), report)
        return report

    async def _rest(
        self, tally: Tally
    ) -> tuple[WaitingRequests, dict[str, SettingValue], list[ConvertedTemplate]]:
        """Read what belongs to no slice."""
        async with self._source.snapshot() as snapshot:
            await strays(snapshot, tally)
            waiting = await waiting_requests(snapshot, tally)
            rows = await snapshot.rows("templates")
        _, settings = await self._settings(tally)
        templates = [convert(row["code"], row["content"]) for row in rows if row["content"].strip()]
        for template in templates:
            if not template.converted:
                tally.found(Rule.TEMPLATE_NOT_CONVERTED, template.code)
        return waiting, settings, templates

    async def _settings(self, tally: Tally) -> tuple[dict[str, object], dict[str, SettingValue]]:
        """Return the valid settings of the source, as any values and as settings."""
        async with self._source.snapshot() as snapshot:
            rows = await snapshot.rows("settings")
        found: dict[str, SettingValue] = {}
        for row in rows:
            definition = DEFINITIONS.get(row["name"])
            rule = Rule.SETTING_UNKNOWN if definition is None else Rule.SETTING_INVALID
            try:
                if definition is not None:
                    found[row["name"]] = definition.read(orjson.loads(row["value"] or "null"))
                    tally.went("settings", "", "")
                    continue
            except (SettingRejectedError, orjson.JSONDecodeError):
                pass
            tally.went("settings", "", None, rule)
            tally.found(rule, row["name"])
        return dict(found), found

    async def _counted(self) -> dict[tuple[str, str], Amount]:
        async with self._source.snapshot() as snapshot:
            return _by_state(await snapshot.rows("count"))

    async def _signs_of_life(self) -> list[str]:
        return [sign.text for sign in await self._source.signs_of_life()]

    async def _save_settings(self, settings: dict[str, SettingValue]) -> None:
        async with self._target.store.unit_of_work(self._target.tenant) as uow:
            for name, value in settings.items():
                await uow.stored_settings.put(
                    name, value, self._target.by, "import of the Java service"
                )

    async def _go_on(self) -> None:
        """Write the steps by which orders under way go on. All of this can be done twice."""
        target = self._target
        begun = await target.moved.begun()
        last = begun.last_order_id or 0 if begun else 0
        after = OrderId(0)
        while orders := await target.moved.under_way(after, ORDERS_AT_A_TIME, up_to=last):
            after = orders[-1].id
            over = [order.id for order in orders if order.over]
            async with target.store.unit_of_work(target.tenant) as uow:
                await self._end(uow, over)
                await uow.messages.send(
                    [
                        *(
                            CompleteOrderStep(order.id, selection=0, page=0).to(target.tenant)
                            for order in orders
                            if order.creating
                        ),
                        *(
                            ExpireOrderStep(order.id).to(target.tenant, order.expires_at)
                            for order in orders
                            if order.expires
                        ),
                    ]
                )

    async def _end(self, uow: UnitOfWork, ids: Sequence[OrderId]) -> None:
        """End orders under way of which nothing is pending, as the reconciler does."""
        if not ids:
            return
        cause = Cause(Reason.RECOUNTED, SERVICE, self._target.clock.now())
        for order in await uow.orders.lock(ids):
            await self._target.settlement.settle_recounted(uow, order, [], cause)
            await uow.orders.save([order], cause.at)

    async def _take_requests(self, waiting: WaitingRequests) -> None:
        """Receive what waited in jobs, as if it had come from the queues."""
        target = self._target
        if waiting.orders:
            await target.accept.handle(
                target.tenant,
                [ArrivedRequest(request, redelivered=True) for request in waiting.orders],
            )
        if waiting.cancelled:
            await target.cancel.handle(target.tenant, sorted(set(waiting.cancelled)))

    def _written(self, templates: Sequence[ConvertedTemplate]) -> list[str]:
        """Write the mail templates into the folder, and return the names of the files."""
        if self._options.templates is None:
            return [template.code for template in templates]
        folder = self._options.templates / self._target.tenant
        names = []
        for template in templates:
            folder.mkdir(parents=True, exist_ok=True)
            endings = [f"{name}.html" for name in _LANGUAGES] if template.converted else ["ftl"]
            for ending in endings:
                path = folder / f"{template.code}.{ending}"
                path.write_text(template.text, encoding="utf-8")
                names.append(str(path))
        return names


def _by_state(rows: Sequence[Any]) -> dict[tuple[str, str], Amount]:
    return {
        (row["name"], row["state"]): Amount(row["rows"], row["bytes"])
        for row in rows
        if row["rows"]
    }
