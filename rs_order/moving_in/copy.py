"""Copies slices: reads one state of the source, and writes one commit here."""

import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson

from rs_order.domain.order import unique_label
from rs_order.domain.settings import TenantSettings
from rs_order.moving_in.baskets import BasketSlice, order_of
from rs_order.moving_in.files import FileMapper
from rs_order.moving_in.orders import OrderSlice, text_of
from rs_order.moving_in.processing import PARAMETERS, process_under_way
from rs_order.moving_in.rules import Rule, Tally
from rs_order.store.java_source import JavaSource, SourceSnapshot
from rs_order.store.moved_orders import FILES, Rows, Slice, SliceKind

_LOWEST, _HIGHEST = -(2**63), 2**63 - 1
_OF_JOBS: Final = ("subOrderAvailabilityPeriod", "userRole", "processJobInfo")
_PROCESS_JOB: Final = ".ProcessExecutionJob"
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class NoRows:
    """Writes nothing: a check reads only."""

    async def copy(
        self, table: str, columns: Sequence[str], records: Sequence[Sequence[Any]]
    ) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class SliceLimits:
    """The most that one slice has; an order with more files is a slice by itself."""

    files: int = 50_000
    orders: int = 1000
    baskets: int = 1000


async def plan_slices(source: JavaSource, limits: SliceLimits) -> list[Slice]:
    """Return slices that cover all ids of orders and baskets."""
    async with source.snapshot() as snapshot:
        return [
            *await _planned(SliceKind.ORDERS, _orders(snapshot), limits.orders, limits.files),
            *await _planned(SliceKind.BASKETS, _baskets(snapshot), limits.baskets, limits.files),
        ]


async def _orders(snapshot: SourceSnapshot) -> AsyncIterator[tuple[int, int, int]]:
    async for one in snapshot.sizes():
        yield one.id, one.files, one.bytes


async def _baskets(snapshot: SourceSnapshot) -> AsyncIterator[tuple[int, int, int]]:
    async for rows in snapshot.parts("basket_ids"):
        for row in rows:
            yield row["id"], 0, 0


async def _planned(
    kind: SliceKind, sizes: AsyncIterator[tuple[int, int, int]], most: int, most_files: int
) -> list[Slice]:
    slices: list[Slice] = []
    first, rows, files, size = _LOWEST, 0, 0, 0
    last = _LOWEST
    async for id_, more_files, more_bytes in sizes:
        if rows and (rows == most or files + more_files > most_files):
            slices.append(Slice(kind, len(slices), first, last, files, size))
            first, rows, files, size = last + 1, 0, 0, 0
        last, rows, files, size = id_, rows + 1, files + more_files, size + more_bytes
    return [*slices, Slice(kind, len(slices), first, _HIGHEST, files, size)]


async def new_labels(source: JavaSource) -> dict[int, str]:
    """Return other labels for orders that have the label of an earlier order of their owner (C2)."""
    labels: dict[int, str] = {}
    async with source.snapshot() as snapshot:
        for row in await snapshot.rows("labels_taken_twice"):
            taken = set(await snapshot.names("labels_of", row["owner"]))
            for order in row["ids"][1:]:
                labels[order] = unique_label(row["label"], taken)
                taken.add(labels[order])
    return labels


class CopySlices:
    """Copies the slices of a source."""

    def __init__(
        self,
        source: JavaSource,
        settings: TenantSettings,
        labels: Mapping[int, str],
        *,
        now: datetime,
        progress: Callable[[int, int], None],
    ) -> None:
        """Copy from a source.

        Args:
            source: what is read.
            settings: the settings of the tenant in the source.
            labels: of `new_labels`.
            now: the time of the import.
            progress: called with rows and bytes that were copied.
        """
        self._source = source
        self._settings = settings
        self._labels = labels
        self._now = now
        self._progress = progress

    async def copy(self, one: Slice, to: Rows) -> Tally:
        """Copy a slice, and return what became of its rows."""
        async with self._source.snapshot() as snapshot:
            if one.kind is SliceKind.ORDERS:
                return await self._orders(snapshot, one, to)
            return await self._baskets(snapshot, one, to)

    async def _orders(self, snapshot: SourceSnapshot, one: Slice, to: Rows) -> Tally:
        tally = Tally()
        orders = OrderSlice(tally, self._settings, self._labels, self._now)
        between = one.first, one.last
        orders.add_orders(await snapshot.rows("orders", *between))
        await self._add_creations(snapshot, orders)
        orders.add_dataset_tasks(await snapshot.rows("dataset_tasks", *between))
        sub_orders = await snapshot.rows("sub_orders", *between)
        shapes = {
            (row["order_id"], row["files_task_id"]): row
            for row in await snapshot.rows("shapes", *between)
        }
        jobs = [row["job_id"] for row in sub_orders if row["job_id"] is not None]
        parameters = await snapshot.job_parameters(jobs, _OF_JOBS)
        orders.add_sub_orders(sub_orders, shapes, parameters)
        await self._add_processes(snapshot, orders, parameters)
        files = await self._mapper(snapshot, one, orders, shapes, parameters)
        async for rows in snapshot.parts("files", *between):
            await to.copy("data_file", FILES, files.records(rows))
            self._progress(len(rows), sum(row["size"] or 0 for row in rows))
        await orders.write(to)
        self._progress(len(orders.orders), 0)
        return tally

    @staticmethod
    async def _add_creations(snapshot: SourceSnapshot, orders: OrderSlice) -> None:
        """Add what is needed of orders whose creation begins again."""
        creating = [plan for plan in orders.orders.values() if plan.creating]
        if not creating:
            return
        baskets = [f"ORDER_{plan.id}" for plan in creating]
        orders.begin_again(await snapshot.rows("searched_by_orders", baskets))
        owners = sorted({plan.row["owner"] for plan in creating})
        roles = {row["owner"]: row["value"] for row in await snapshot.rows("roles", owners)}
        for plan in creating:
            plan.role = text_of(roles.get(plan.row["owner"]))

    @staticmethod
    async def _add_processes(
        snapshot: SourceSnapshot,
        orders: OrderSlice,
        parameters: Mapping[Any, Mapping[str, str]],
    ) -> None:
        """Add the processes of sub-orders that are under way, from their jobs (domain.md 5.6)."""
        job_of = {
            one.files.sub_order_id: _process_job(one.row, parameters) for one in orders.processed()
        }
        jobs = [job for job in job_of.values() if job is not None]
        found = await snapshot.job_parameters(jobs, PARAMETERS)
        for one in orders.processed():
            job = job_of[one.files.sub_order_id]
            one.process = process_under_way(one.files.order_id, found.get(job, {}))
            one.files.process_lost = one.process is None
            one.files.batch = one.process.correlation_id if one.process else None

    async def _mapper(
        self,
        snapshot: SourceSnapshot,
        one: Slice,
        orders: OrderSlice,
        shapes: Mapping[tuple[int, int | None], Any],
        parameters: Mapping[Any, Mapping[str, str]],
    ) -> FileMapper:
        left_out = {
            plan.id: plan.files_left_out
            for plan in orders.orders.values()
            if plan.files_left_out is not None
        }
        losing = {
            order
            for order, sub_order in shapes
            if order in orders.orders
            and order not in left_out
            and (sub_order is None or sub_order not in orders.plans)
        }
        mended, inputs = await _lost_files(snapshot, orders, losing, parameters)
        repeated = await snapshot.names("repeated_files", one.first, one.last)
        return FileMapper(
            plans=orders.plans,
            left_out=left_out,
            known_orders=frozenset(orders.orders),
            repeated=frozenset(int(id_) for id_ in repeated),
            mended=mended,
            inputs=inputs,
            tally=orders.tally,
        )

    @staticmethod
    async def _baskets(snapshot: SourceSnapshot, one: Slice, to: Rows) -> Tally:
        tally = Tally()
        rows = await snapshot.rows("baskets", one.first, one.last)
        consumed = [order for row in rows if (order := order_of(row["owner"])) is not None]
        owners = {
            row["id"]: row["owner"] for row in await snapshot.rows("owners_of_orders", consumed)
        }
        baskets = BasketSlice(tally, owners)
        baskets.add_baskets(rows)
        selections = await snapshot.rows("dataset_selections", one.first, one.last)
        searches = await snapshot.rows("dated_selections", [row["id"] for row in selections])
        baskets.add_selections(selections, searches)
        await baskets.write(to)
        return tally


async def _lost_files(
    snapshot: SourceSnapshot,
    orders: OrderSlice,
    losing: set[int],
    parameters: Mapping[Any, Mapping[str, str]],
) -> tuple[dict[int, int], frozenset[int]]:
    """Return the sub-orders of files that have lost theirs, and the files that go into processes."""
    if not losing:
        return {}, frozenset()
    mended: dict[int, int] = {
        row["id"]: row["files_task_id"]
        for row in await snapshot.rows("same_product", sorted(losing))
    }
    inputs: set[int] = set()
    job_of = {
        one.row["job_id"]: one.files.sub_order_id
        for order in losing
        for one in orders.orders[order].sub_orders
        if one.row["job_id"] is not None
    }
    for job, given in (await snapshot.job_parameters(list(job_of), ["files"])).items():
        ids = _ids(given["files"])
        if "processJobInfo" in parameters.get(job, {}):
            inputs.update(ids)
        else:
            mended.update(dict.fromkeys(ids, job_of[job]))
    return mended, frozenset(inputs)


def _process_job(row: Any, parameters: Mapping[Any, Mapping[str, str]]) -> UUID | None:
    """Return the job that asks for the executions of a sub-order."""
    if (row["class_name"] or "").endswith(_PROCESS_JOB):
        return UUID(str(row["job_id"]))
    named = _UUID.search(parameters.get(row["job_id"], {}).get("processJobInfo", ""))
    return UUID(named[0]) if named else None


def _ids(text: str) -> list[int]:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return []
    return [one for one in found if isinstance(one, int)] if isinstance(found, list) else []


async def strays(snapshot: SourceSnapshot, tally: Tally) -> None:
    """Count the rows that belong to no order or basket."""
    rules = {
        "files": Rule.FILE_WITHOUT_ORDER,
        "sub_orders": Rule.SUB_ORDER_WITHOUT_ORDER,
        "dataset_tasks": Rule.DATASET_TASK_WITHOUT_ORDER,
        "dataset_selections": Rule.SELECTION_WITHOUT_BASKET,
        "dated_selections": Rule.SELECTION_WITHOUT_BASKET,
    }
    async for rows in snapshot.parts("strays"):
        for row in rows:
            rule = rules[row["name"]]
            tally.went(row["name"], row["state"], None, rule, size=row["bytes"])
            if row["name"] != "dated_selections":
                tally.found(rule, row["id"])
