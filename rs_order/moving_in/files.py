"""The files of sub-orders: from rows of the Java service to those of this one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha1
from typing import Any, Final
from uuid import UUID

from rs_order.domain.correlation import FileId
from rs_order.domain.files import NO_CHECKSUM, CatalogFile, DataType, identity
from rs_order.domain.ids import Checksum, Urn
from rs_order.domain.states import FileCounters, FileState, OrderStatus, SubOrderKind
from rs_order.moving_in.rules import UNCHANGED, Rule, Tally

FAILED_ORDER: Final = "Its order had failed before storage gave an answer."
PROCESS_LOST: Final = (
    "Its process can't begin again: the Java service has kept no description of it."
)
STATE_UNKNOWN: Final = "The Java service kept no state of it."
_COPIES: Final = UUID("0a6d3a38-2c0f-4f0c-9a55-3f8e4f1f2f0e").bytes
_STATES: Final = {state.value: state for state in FileState}
_DOWNLOAD_FAILED: Final = "download-failed"


@dataclass(slots=True)
class FilePlan:
    """What becomes of the files of one sub-order."""

    order_id: int
    sub_order_id: int
    dataset_task_id: int
    kind: SubOrderKind
    order_status: OrderStatus
    process_lost: bool = False
    """Its pending outputs can't be made any more."""
    batch: str | None = None
    """The batch of its process here; None: it has none."""
    moved: bool = False
    """It belongs to another dataset task than in the source, which may have the same files."""
    counters: FileCounters = field(default_factory=FileCounters)


@dataclass(slots=True)
class FileMapper:
    """Maps the files of a slice, and counts them in their sub-orders and in the tally."""

    plans: Mapping[int, FilePlan]
    """By sub-order."""
    left_out: Mapping[int, Rule]
    """Why no files of an order are taken over, by order."""
    known_orders: frozenset[int]
    repeated: frozenset[int]
    """Files that their dataset task has already."""
    mended: Mapping[int, int]
    """The sub-orders of files that have lost theirs."""
    inputs: frozenset[int]
    """Files that go into processes."""
    tally: Tally

    def records(self, rows: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Return the rows to be written, with the columns of ``moved_orders.FILES``."""
        return [record for row in rows if (record := self._record(row)) is not None]

    def _record(self, row: Any) -> tuple[Any, ...] | None:
        size = row["size"]
        if size is not None and size < 0:
            size = None
        plan = self._plan_of(row)
        before = row["state"] or ""
        if isinstance(plan, Rule):
            self.tally.went("files", before, None, plan, size=size or 0)
            self.tally.found(plan, row["id"])
            return None
        state, rule, reason = self._state_of(row, plan)
        self.tally.went("files", before, state, rule or UNCHANGED, size=size or 0)
        if rule is not None:
            self.tally.found(rule, row["id"])
        name, url = row["name"], row["url"]
        incomplete = not name or url is None or size != row["size"]
        if incomplete:
            self.tally.found(Rule.FILE_INCOMPLETE, row["id"])
            url = url or ""
            name = name or url.rstrip("/").rpartition("/")[2] or f"file-{row['id']}"
        if row["id"] in self.repeated:
            self.tally.found(Rule.FILE_TWICE, row["id"])
        own = incomplete or plan.moved or row["id"] in self.repeated or row["id"] in self.mended
        plan.counters.add(state, 1, size or 0)
        made = plan.kind is SubOrderKind.PROCESSING
        # What the Java service gives an output that isn't made yet is no checksum (domain.md 5.5).
        promised = made and state is FileState.PENDING
        return (
            row["id"],
            plan.order_id,
            plan.sub_order_id,
            plan.dataset_task_id,
            _copy_of(row["id"]) if own else _identity_of(row, name, url),
            row["product_urn"],
            row["product_id"],
            row["product_version"],
            row["data_type"],
            name,
            url,
            row["external"],
            row["online"],
            size,
            None if promised else row["checksum"],
            None if promised else row["checksum_algo"],
            row["mime_type"],
            state,
            _reason_code(state, rule, row),
            reason,
            _output_key(plan, url) if made else None,
        )

    def _plan_of(self, row: Any) -> FilePlan | Rule:
        """Return the plan of a file's sub-order, or the rule by which the file isn't taken over."""
        order = row["order_id"]
        if order not in self.known_orders:
            return Rule.FILE_WITHOUT_ORDER
        if order in self.left_out:
            return self.left_out[order]
        plan = self.plans.get(row["files_task_id"])
        if plan is not None and plan.order_id == order:
            return plan
        if row["id"] in self.inputs:
            return Rule.INPUT_OF_PROCESS
        mended = self.plans.get(self.mended.get(row["id"], 0))
        if mended is None or mended.order_id != order:
            return Rule.FILE_LOST
        self.tally.found(Rule.FILE_WITHOUT_SUB_ORDER, row["id"])
        return mended

    @staticmethod
    def _state_of(row: Any, plan: FilePlan) -> tuple[FileState, Rule | None, str | None]:
        """Return the state of a file here, the rule that changes it, and its reason."""
        state = _STATES.get(row["state"] or "")
        if state is None:
            return FileState.ERROR, Rule.FILE_INCOMPLETE, STATE_UNKNOWN
        if state is not FileState.PENDING:
            return state, None, row["download_error_reason"]
        return _pending_file(row, plan)


def _pending_file(row: Any, plan: FilePlan) -> tuple[FileState, Rule | None, str | None]:
    """Return the same of a file that is pending in the source."""
    if plan.kind is SubOrderKind.EXTERNAL:
        return FileState.AVAILABLE, Rule.EXTERNAL_FILE_PENDING, None
    if plan.process_lost:
        return FileState.PROCESSING_ERROR, Rule.PROCESS_LOST, PROCESS_LOST
    if plan.order_status is OrderStatus.FAILED:
        return FileState.ERROR, Rule.FILE_PENDING_IN_FAILED_ORDER, FAILED_ORDER
    if plan.kind is SubOrderKind.STORAGE and not row["checksum"]:
        return FileState.ERROR, Rule.FILE_WITHOUT_CHECKSUM, NO_CHECKSUM
    return FileState.PENDING, None, None


def _identity_of(row: Any, name: str, url: str) -> str:
    """Return the identity that the service gives a file (W5)."""
    checksum = row["checksum"]
    file = CatalogFile(
        data_type=DataType.RAWDATA,
        name=name,
        url=url,
        external=False,
        size=None,
        checksum=Checksum(checksum) if checksum else None,
        checksum_algorithm=None,
        mime_type=None,
        online=False,
    )
    return identity(Urn(row["product_urn"]), file)


def _copy_of(file: int) -> str:
    """Return an identity for a file whose dataset task may have the same one already."""
    return sha1(_COPIES + b"%d" % file, usedforsecurity=False).hexdigest()[:32]


def _reason_code(state: FileState, rule: Rule | None, row: Any) -> str | None:
    match rule:
        case Rule.FILE_WITHOUT_CHECKSUM:
            return "no-checksum"
        case Rule.PROCESS_LOST:
            return "process-failed"
    if state is FileState.DOWNLOAD_ERROR and row["download_error_reason"]:
        return _DOWNLOAD_FAILED
    return None


def _output_key(plan: FilePlan, url: str) -> str:
    """Return the id by which results name an output. An output that is made has only a substitute for it."""
    promised = FileId.parse(url)
    batch = plan.batch or (promised.batch if promised else f"order-{plan.order_id}")
    if promised is None:
        return str(FileId(batch))
    return str(FileId(batch, promised.product, promised.name))


def total(plans: Iterable[FilePlan]) -> FileCounters:
    """Return the sums of the counters of sub-orders."""
    counted = FileCounters()
    for plan in plans:
        for state in FileState:
            counted.add(state, plan.counters.files[state], plan.counters.bytes[state])
    return counted
