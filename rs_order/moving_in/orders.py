"""One slice of orders, with all that is below them: what of it comes here, and as what (M3, M4)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from rs_order.domain.settings import TenantSettings
from rs_order.domain.states import FileCounters, FileState, OrderStatus, SubOrderKind, SubOrderState
from rs_order.domain.sub_order import rank
from rs_order.moving_in.files import FilePlan, total
from rs_order.moving_in.processing import INPUTS, ProcessUnderWay
from rs_order.moving_in.rules import Rule, Tally
from rs_order.moving_in.selections import choice_of
from rs_order.store.moved_orders import COUNTERS, Rows, counter_values
from rs_order.store.rows import process_record

CREATION_LOST: Final = (
    "The Java service hadn't finished the creation of this order, and kept none of its searches. "
    "Please order again."
)
PATTERN_REFUSED: Final = (
    "The Java service hadn't finished the creation of this order, and its file-name pattern isn't "
    "accepted any more: {}. Please order again."
)
DEFAULT_ROLE: Final = "REGISTERED_USER"
_GENERATED: Final = "Generated order "
"""The beginning of the labels of automatic orders."""
_UNDER_WAY: Final = (OrderStatus.RUNNING, OrderStatus.PAUSED)
_JOB_IS_OVER: Final = (None, "SUCCEEDED", "FAILED", "ABORTED")
_FIRST_CHECK: Final = timedelta(minutes=15)
"""After this time an order is checked for events that come with time, as a new one is (decision 0056)."""
_ALL: Final = 100
"""Percent."""
ORDERS: Final = (
    "id",
    "owner",
    "role",
    "label",
    "correlation_id",
    "front_url",
    "created_at",
    "expires_at",
    "status",
    "status_at",
    "message",
    "sub_order_hours",
    "sub_orders",
    "waiting_sub_orders",
    *COUNTERS,
    "available_at",
    "events_due_at",
    "failures_told",
)
DATASET_TASKS: Final = (
    "id",
    "order_id",
    "dataset_urn",
    "dataset_label",
    "products_count",
    "files_count",
    "files_bytes",
    "file_kinds",
    "file_name_pattern",
    "process_id",
    "process_parameters",
    "process_info",
)
SUB_ORDERS: Final = (
    "id",
    "order_id",
    "dataset_task_id",
    "owner",
    "kind",
    "state",
    "rank",
    "asks_storage",
    *COUNTERS,
)


def utc(at: datetime | None) -> datetime | None:
    """Return an instant of the source, which stores the wall clock of UTC (P3)."""
    return at.replace(tzinfo=UTC) if at is not None else None


@dataclass(slots=True)
class OrderPlan:
    """An order of the slice."""

    row: Any
    status: OrderStatus
    message: str | None
    creating: bool
    """Its creation begins again."""
    tasks: dict[str, Any] = field(default_factory=dict)
    """Its dataset tasks by dataset."""
    task_ids: dict[int, int] = field(default_factory=dict)
    """The dataset task here of each in the source."""
    products: dict[int, int] = field(default_factory=dict)
    """Products by dataset task here."""
    sub_orders: list["SubOrderPlan"] = field(default_factory=list)
    hours: int | None = None
    role: str | None = None

    @property
    def id(self) -> int:
        return int(self.row["id"])

    @property
    def files_left_out(self) -> Rule | None:
        """Why none of its files comes, if so."""
        if self.creating:
            return Rule.FILE_OF_BROKEN_CREATION
        return Rule.FILE_OF_ENDED_ORDER if self.status.deleted_or_expired else None


@dataclass(slots=True)
class SubOrderPlan:
    """A sub-order of the slice."""

    row: Any
    files: FilePlan
    process: ProcessUnderWay | None = None


class OrderSlice:
    """The orders of a slice, from their rows to those that are written here."""

    def __init__(
        self,
        tally: Tally,
        settings: TenantSettings,
        labels: Mapping[int, str],
        now: datetime,
    ) -> None:
        """Take the orders of a slice.

        Args:
            tally: what became of each row.
            settings: of the tenant, for orders whose jobs are deleted.
            labels: the labels of orders whose own one is taken, by order.
            now: the time of the import.
        """
        self.tally = tally
        self._settings = settings
        self._labels = labels
        self._now = now
        self.orders: dict[int, OrderPlan] = {}
        self.plans: dict[int, FilePlan] = {}
        """By sub-order."""

    def add_orders(self, rows: Sequence[Any]) -> None:
        """Take the orders."""
        for row in rows:
            status = self._status(row)
            creating = status is OrderStatus.PENDING or (
                status is OrderStatus.PAUSED and row["expiration_date"] is None
            )
            self.orders[row["id"]] = OrderPlan(row, status, row["message"], creating)

    def _status(self, row: Any) -> OrderStatus:
        if row["status"] in set(OrderStatus):
            return OrderStatus(row["status"])
        self.tally.found(Rule.STATUS_UNKNOWN, row["id"])
        return OrderStatus.ERROR

    def begin_again(self, selections: Sequence[Any]) -> None:
        """Decide about orders under creation, by the selections of their baskets that have a search."""
        of_order: dict[str, list[Any]] = defaultdict(list)
        for selection in selections:
            of_order[selection["owner"]].append(selection)
        for plan in self.orders.values():
            if plan.creating:
                self._begin_again(plan, of_order[f"ORDER_{plan.id}"])

    def _begin_again(self, plan: OrderPlan, selections: Sequence[Any]) -> None:
        refused = [
            rejected
            for row in selections
            if (
                rejected := choice_of(
                    row["file_selection_description"], row["process_dataset_desc"], Tally(), 0
                ).rejected_pattern
            )
        ]
        if selections and not refused:
            self.tally.found(Rule.CREATION_BEGINS_AGAIN, plan.id)
            return
        plan.status = OrderStatus.FAILED
        plan.message = PATTERN_REFUSED.format(refused[0]) if refused else CREATION_LOST
        self.tally.found(Rule.CREATION_LOST, plan.id)

    def add_dataset_tasks(self, rows: Sequence[Any]) -> None:
        """Take the dataset tasks of these orders."""
        for row in rows:
            plan = self.orders.get(row["order_id"])
            if plan is None or plan.creating:
                self.tally.went("dataset_tasks", "", None, Rule.DATASET_TASK_WITHOUT_ORDER)
                self.tally.found(Rule.DATASET_TASK_WITHOUT_ORDER, row["id"])
                continue
            first = plan.tasks.setdefault(row["dataset_ip_id"], row)
            plan.task_ids[row["id"]] = first["id"]
            plan.products[first["id"]] = plan.products.get(first["id"], 0) + (
                row["objects_count"] or 0
            )
            if first is row:
                self.tally.went("dataset_tasks", "", "")
            else:
                self.tally.went("dataset_tasks", "", None, Rule.DATASET_TASK_TWICE)
                self.tally.found(Rule.DATASET_TASK_TWICE, row["id"])

    def add_sub_orders(
        self,
        rows: Sequence[Any],
        shapes: Mapping[tuple[int, int], Any],
        parameters: Mapping[Any, Mapping[str, str]],
    ) -> None:
        """Take the sub-orders of these orders.

        Args:
            rows: the sub-orders.
            shapes: what the files of each say about its kind, by order and sub-order.
            parameters: of their jobs.
        """
        for row in rows:
            plan = self.orders.get(row["order_id"])
            if plan is None:
                self._leave_out(row, Rule.SUB_ORDER_WITHOUT_ORDER)
            elif plan.files_left_out is not None:
                self._leave_out(row, Rule.SUB_ORDER_OF_ENDED_ORDER)
            else:
                self._add(plan, row, shapes.get((plan.id, row["id"])), parameters)

    def _add(
        self,
        plan: OrderPlan,
        row: Any,
        shape: Any,
        parameters: Mapping[Any, Mapping[str, str]],
    ) -> None:
        given = parameters.get(row["job_id"], {})
        plan.hours = plan.hours or _hours(given.get("subOrderAvailabilityPeriod"))
        plan.role = plan.role or text_of(given.get("userRole"))
        task = plan.task_ids.get(row["parent_id"]) or min(plan.products, default=None)
        if task is None:
            self._leave_out(row, Rule.SUB_ORDER_WITHOUT_DATASET)
            return
        if row["parent_id"] not in plan.task_ids:
            self.tally.found(Rule.SUB_ORDER_WITHOUT_DATASET, row["id"])
        files = FilePlan(
            order_id=plan.id,
            sub_order_id=row["id"],
            dataset_task_id=task,
            kind=_kind(row, shape, "processJobInfo" in given),
            order_status=plan.status,
            moved=task != row["parent_id"],
        )
        self.plans[row["id"]] = files
        plan.sub_orders.append(SubOrderPlan(row, files))

    def _leave_out(self, row: Any, rule: Rule) -> None:
        self.tally.went("sub_orders", "", None, rule)
        self.tally.found(rule, row["id"])

    def processed(self) -> list[SubOrderPlan]:
        """Return the sub-orders with a process, of orders that go on."""
        return [
            sub_order
            for plan in self.orders.values()
            if plan.status not in (OrderStatus.FAILED, OrderStatus.DELETED, OrderStatus.EXPIRED)
            for sub_order in plan.sub_orders
            if sub_order.files.kind is SubOrderKind.PROCESSING
        ]

    async def write(self, to: Rows) -> None:
        """Write everything but the files, which were counted before."""
        orders, tasks, sub_orders = [], [], []
        inputs, batches, completions = [], [], []
        for plan in self.orders.values():
            written = self._settled(plan)
            orders.append(self._order_record(plan, written))
            tasks += self._task_records(plan, written)
            for one, state in written:
                sub_orders.append(_sub_order_record(plan, one, state))
                if one.process is not None and one.files.counters.pending:
                    files = one.files
                    inputs += one.process.records(
                        files.order_id, files.sub_order_id, files.dataset_task_id
                    )
                    batches.append((files.order_id, files.sub_order_id, one.process.correlation_id))
            if plan.creating and plan.status is not OrderStatus.FAILED:
                completions.append((plan.id,))
        await to.copy("orders", ORDERS, orders)
        await to.copy("dataset_task", DATASET_TASKS, tasks)
        await to.copy("sub_order", SUB_ORDERS, sub_orders)
        await to.copy("process_input", INPUTS, inputs)
        await to.copy("process_batch", ("order_id", "sub_order_id", "correlation_id"), batches)
        await to.copy("completion", ("order_id",), completions)

    def _settled(self, plan: OrderPlan) -> list[tuple[SubOrderPlan, SubOrderState]]:
        """Return the sub-orders with files, each with its state, and give the order its status."""
        found = []
        for one in plan.sub_orders:
            if not one.files.counters.total_files:
                self._leave_out(one.row, Rule.EMPTY_SUB_ORDER)
                continue
            self.tally.went("sub_orders", "", "")
            state = _state(one.files.counters)
            self._check_sub_order(plan, one, state)
            found.append((one, state))
        counters = total(one.files for one, _ in found)
        if counters.pending and plan.status in (OrderStatus.DONE, OrderStatus.DONE_WITH_WARNING):
            plan.status = OrderStatus.RUNNING
            self.tally.found(Rule.ENDED_TOO_EARLY, plan.id)
        if plan.status in _UNDER_WAY and not plan.creating and not counters.pending:
            self.tally.found(Rule.ORDER_STANDS_STILL, plan.id)
        waiting = any(state is SubOrderState.WAITING for _, state in found)
        self._check_order(plan, counters, waiting=waiting)
        self.tally.went("orders", plan.row["status"], plan.status)
        return found

    def _check_sub_order(self, plan: OrderPlan, one: SubOrderPlan, state: SubOrderState) -> None:
        """Note what the source says wrongly about a sub-order."""
        row = one.row
        if state is SubOrderState.READY and plan.status is OrderStatus.RUNNING:
            if one.files.kind is SubOrderKind.PROCESSING:
                self.tally.found(Rule.PROCESS_BEGINS_AGAIN, row["id"])
            elif row["job_status"] in _JOB_IS_OVER:
                self.tally.found(Rule.SUB_ORDER_STANDS_STILL, row["id"])
        flags = state is SubOrderState.ENDED, state is SubOrderState.WAITING
        # External sub-orders are born with flags that their files contradict (F4).
        born = one.files.kind is SubOrderKind.EXTERNAL and (row["ended"], row["waiting"]) == (
            True,
            False,
        )
        if not born and (row["ended"], row["waiting"]) != flags:
            self.tally.found(Rule.WRONG_SUB_ORDER_FLAGS, row["id"])

    def _check_order(self, plan: OrderPlan, counters: FileCounters, *, waiting: bool) -> None:
        """Note what the source says wrongly about an order; it says nothing yet about one under creation."""
        row = plan.row
        if plan.creating or plan.status.deleted_or_expired or not counters.total_files:
            return
        for rule, said, fact in (
            (Rule.WRONG_PERCENT, row["percent_complete"], counters.percent),
            (Rule.WRONG_ERROR_COUNT, row["files_in_error"], counters.errors),
            (Rule.WRONG_AVAILABLE_COUNT, row["available_count"], counters.available),
            (Rule.WRONG_WAITING_FLAG, row["waiting_for_user"], waiting),
        ):
            if said != fact:
                self.tally.found(rule, plan.id)

    def _order_record(
        self, plan: OrderPlan, sub_orders: Sequence[tuple[SubOrderPlan, SubOrderState]]
    ) -> tuple[Any, ...]:
        row = plan.row
        counters = total(one.files for one, _ in sub_orders)
        if plan.status.deleted_or_expired:
            counters = _last_counters(row, plan.tasks.values())
        available = counters.available and not plan.status.deleted_or_expired
        return (
            row["id"],
            row["owner"],
            plan.role or DEFAULT_ROLE,
            self._label(row),
            row["correlation_id"],
            row["url"],
            utc(row["creation_date"]),
            utc(row["expiration_date"]),
            plan.status,
            utc(row["status_date"]),
            plan.message,
            self._hours_of(plan),
            len(sub_orders),
            sum(state is SubOrderState.WAITING for _, state in sub_orders),
            *counter_values(counters),
            utc(row["avail_count_update_date"] or row["status_date"]) if available else None,
            self._now + _FIRST_CHECK if available or plan.status.unfinished else None,
            counters.errors,
        )

    def _label(self, row: Any) -> str:
        if row["id"] not in self._labels:
            return str(row["label"])
        self.tally.found(Rule.LABEL_TAKEN_TWICE, row["id"])
        return self._labels[row["id"]]

    def _hours_of(self, plan: OrderPlan) -> int:
        if plan.hours is not None:
            return plan.hours
        if plan.row["label"].startswith(_GENERATED):
            return self._settings.app_sub_order_hours
        return self._settings.user_sub_order_hours

    def _task_records(
        self, plan: OrderPlan, sub_orders: Sequence[tuple[SubOrderPlan, SubOrderState]]
    ) -> list[tuple[Any, ...]]:
        counted: dict[int, list[FilePlan]] = defaultdict(list)
        processes: dict[int, ProcessUnderWay] = {}
        for one, _ in sub_orders:
            counted[one.files.dataset_task_id].append(one.files)
            if one.process is not None:
                processes.setdefault(one.files.dataset_task_id, one.process)
        return [
            self._task_record(plan, row, counted[row["id"]], processes.get(row["id"]))
            for row in plan.tasks.values()
        ]

    def _task_record(
        self,
        plan: OrderPlan,
        row: Any,
        sub_orders: Sequence[FilePlan],
        process: ProcessUnderWay | None,
    ) -> tuple[Any, ...]:
        choice = choice_of(
            row["file_selection_description"], row["process_dataset_desc"], self.tally, row["id"]
        )
        files, size = row["files_count"] or 0, row["files_size"] or 0
        # Those of a process are its inputs, and those of a deleted order are what it had.
        if plan.sub_orders and choice.process_id is None and not plan.status.deleted_or_expired:
            counters = total(sub_orders)
            if (files, size) != (counters.total_files, counters.total_bytes):
                self.tally.found(Rule.WRONG_TASK_TOTALS, row["id"])
            files, size = counters.total_files, counters.total_bytes
        return (
            row["id"],
            plan.id,
            row["dataset_ip_id"],
            row["dataset_label"],
            plan.products[row["id"]],
            files,
            size,
            choice.kinds,
            choice.pattern,
            choice.process_id,
            choice.parameters,
            process_record(process.process) if process else None,
        )


def _kind(row: Any, shape: Any, restores_for_process: bool) -> SubOrderKind:
    """Return the kind of a sub-order by its job and its files: jobs are deleted after a while."""
    is_process_job = (row["class_name"] or "").endswith(".ProcessExecutionJob")
    if is_process_job or restores_for_process or (shape is not None and shape["made_by_process"]):
        return SubOrderKind.PROCESSING
    if shape is not None and shape["external"]:
        return SubOrderKind.EXTERNAL
    return SubOrderKind.STORAGE


def _state(counters: FileCounters) -> SubOrderState:
    if counters.pending:
        return SubOrderState.READY
    return SubOrderState.WAITING if counters.available else SubOrderState.ENDED


def _sub_order_record(plan: OrderPlan, one: SubOrderPlan, state: SubOrderState) -> tuple[Any, ...]:
    files = one.files
    ready = state is SubOrderState.READY
    created_at = plan.row["creation_date"].replace(tzinfo=UTC)
    return (
        files.sub_order_id,
        files.order_id,
        files.dataset_task_id,
        plan.row["owner"],
        files.kind,
        state,
        rank(created_at, files.counters.total_bytes) if ready else None,
        one.process.asks_storage
        if one.process is not None
        else files.kind is not SubOrderKind.EXTERNAL,
        *counter_values(files.counters),
    )


def _last_counters(row: Any, tasks: Any) -> FileCounters:
    """Return counters of an order without files that show the percentage and the errors it had."""
    counters = FileCounters()
    files = sum(task["files_count"] or 0 for task in tasks)
    size = sum(task["files_size"] or 0 for task in tasks)
    errors = min(max(row["files_in_error"], 0), files)
    counters.add(FileState.ERROR, errors, 0)
    if row["percent_complete"] >= _ALL or not files:
        counters.add(FileState.DOWNLOADED, files - errors, size)
        return counters
    settled = -(-size * max(row["percent_complete"], 0) // 100)
    counters.add(FileState.DOWNLOADED, 0, settled)
    counters.add(FileState.PENDING, files - errors, size - settled)
    return counters


def _hours(text: str | None) -> int | None:
    hours = text.strip() if text else ""
    return int(hours) if hours.isdigit() else None


def text_of(value: str | None) -> str | None:
    """Return the text of a job parameter, which is JSON."""
    return value.strip().strip('"') or None if value else None
