"""The kinds of damage that a database of a Java service can have, and what is done about each (M4)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

LISTED = 100
"""Ids of a kind of damage that a report lists."""
UNCHANGED: Final = ""
"""Stands for a rule where none applies."""


class Rule(StrEnum):
    """Stable names of what an import does otherwise than to copy a row."""

    CREATION_BEGINS_AGAIN = "creation-begins-again"
    CREATION_LOST = "creation-lost"
    LABEL_TAKEN_TWICE = "label-taken-twice"
    STATUS_UNKNOWN = "status-unknown"
    ENDED_TOO_EARLY = "ended-too-early"
    ORDER_STANDS_STILL = "order-stands-still"
    SUB_ORDER_STANDS_STILL = "sub-order-stands-still"
    PROCESS_BEGINS_AGAIN = "process-begins-again"
    PROCESS_LOST = "process-lost"
    WRONG_PERCENT = "wrong-percent"
    WRONG_ERROR_COUNT = "wrong-error-count"
    WRONG_AVAILABLE_COUNT = "wrong-available-count"
    WRONG_WAITING_FLAG = "wrong-waiting-flag"
    WRONG_SUB_ORDER_FLAGS = "wrong-sub-order-flags"
    WRONG_TASK_TOTALS = "wrong-task-totals"
    EMPTY_SUB_ORDER = "empty-sub-order"
    SUB_ORDER_OF_ENDED_ORDER = "sub-order-of-ended-order"
    SUB_ORDER_WITHOUT_ORDER = "sub-order-without-order"
    SUB_ORDER_WITHOUT_DATASET = "sub-order-without-dataset"
    DATASET_TASK_WITHOUT_ORDER = "dataset-task-without-order"
    DATASET_TASK_TWICE = "dataset-task-twice"
    FILE_WITHOUT_ORDER = "file-without-order"
    FILE_WITHOUT_SUB_ORDER = "file-without-sub-order"
    FILE_LOST = "file-lost"
    FILE_OF_ENDED_ORDER = "file-of-ended-order"
    FILE_OF_BROKEN_CREATION = "file-of-broken-creation"
    INPUT_OF_PROCESS = "input-of-process"
    FILE_PENDING_IN_FAILED_ORDER = "file-pending-in-failed-order"
    EXTERNAL_FILE_PENDING = "external-file-pending"
    FILE_WITHOUT_CHECKSUM = "file-without-checksum"
    FILE_INCOMPLETE = "file-incomplete"
    FILE_TWICE = "file-twice"
    BASKET_WITHOUT_ORDER = "basket-without-order"
    SELECTION_WITHOUT_BASKET = "selection-without-basket"
    SELECTION_WITHOUT_SEARCH = "selection-without-search"
    SELECTION_TWICE = "selection-twice"
    SEARCH_UNREADABLE = "search-unreadable"
    PROCESS_AND_FILTER = "process-and-filter"
    FILTER_NOT_RE2 = "filter-not-re2"
    REQUEST_LOST = "request-lost"
    SETTING_INVALID = "setting-invalid"
    SETTING_UNKNOWN = "setting-unknown"
    TEMPLATE_NOT_CONVERTED = "template-not-converted"


@dataclass(frozen=True, slots=True)
class Explanation:
    """A rule in words."""

    found: str
    done: str
    is_damage: bool = True
    """False: it is no defect of the source, but something that goes on in another way."""


_LEFT_OUT: Final = "not taken over"

EXPLANATIONS: Final[Mapping[Rule, Explanation]] = {
    Rule.CREATION_BEGINS_AGAIN: Explanation(
        "an order whose creation isn't finished (W3)",
        "its creation begins again from its consumed basket",
    ),
    Rule.CREATION_LOST: Explanation(
        "an order whose creation isn't finished, without searches in its basket",
        "it is FAILED with a message that says so",
    ),
    Rule.LABEL_TAKEN_TWICE: Explanation(
        "an order with the label of another order of its owner", "its label has a number"
    ),
    Rule.STATUS_UNKNOWN: Explanation("an order with an unknown status", "it is in ERROR"),
    Rule.ENDED_TOO_EARLY: Explanation(
        "an order that is DONE with pending files (W18, W28)",
        "it is RUNNING until they are settled",
    ),
    Rule.ORDER_STANDS_STILL: Explanation(
        "an order under way of which nothing is pending (W18)", "it ends by the ordinary rules"
    ),
    Rule.SUB_ORDER_STANDS_STILL: Explanation(
        "a sub-order with pending files whose job is over or deleted (W2, W6)",
        "storage is asked for them again",
    ),
    Rule.PROCESS_BEGINS_AGAIN: Explanation(
        "a sub-order whose process is under way", "its process begins again", is_damage=False
    ),
    Rule.PROCESS_LOST: Explanation(
        "a sub-order with pending outputs whose process can't be read any more (W7)",
        "these outputs are in PROCESSING_ERROR",
    ),
    Rule.WRONG_PERCENT: Explanation("an order with a wrong percentage (W28)", "counted again"),
    Rule.WRONG_ERROR_COUNT: Explanation(
        "an order with a wrong number of files in error", "counted again"
    ),
    Rule.WRONG_AVAILABLE_COUNT: Explanation(
        "an order with a wrong number of available files (W29)", "counted again"
    ),
    Rule.WRONG_WAITING_FLAG: Explanation(
        "an order that waits for its user, or doesn't, against its files (W17, W18)",
        "derived from its files",
    ),
    Rule.WRONG_SUB_ORDER_FLAGS: Explanation(
        "a sub-order with flags that its files contradict (W6, W18)", "derived from its files"
    ),
    Rule.WRONG_TASK_TOTALS: Explanation(
        "a dataset task with other totals than its files", "counted again"
    ),
    Rule.EMPTY_SUB_ORDER: Explanation("a sub-order without files (W18)", _LEFT_OUT),
    Rule.SUB_ORDER_OF_ENDED_ORDER: Explanation(
        "a sub-order of a deleted or expired order, or of a creation that begins again", _LEFT_OUT
    ),
    Rule.SUB_ORDER_WITHOUT_ORDER: Explanation(
        "a sub-order of an order that isn't there", _LEFT_OUT
    ),
    Rule.SUB_ORDER_WITHOUT_DATASET: Explanation(
        "a sub-order without its dataset task",
        "it belongs to the first dataset task of its order; without one it isn't taken over",
    ),
    Rule.DATASET_TASK_WITHOUT_ORDER: Explanation(
        "a dataset task of an order that isn't there, or of a creation that begins again", _LEFT_OUT
    ),
    Rule.DATASET_TASK_TWICE: Explanation(
        "a second dataset task of one dataset in an order", "its sub-orders belong to the first"
    ),
    Rule.FILE_WITHOUT_ORDER: Explanation("a file of an order that isn't there (P9, W6)", _LEFT_OUT),
    Rule.FILE_WITHOUT_SUB_ORDER: Explanation(
        "a file that has lost its sub-order (W6)",
        "it is in the sub-order of its job, or else of its product",
    ),
    Rule.FILE_LOST: Explanation(
        "a file without a sub-order, of which no job or product is known (W6)", _LEFT_OUT
    ),
    Rule.FILE_OF_ENDED_ORDER: Explanation("a file of a deleted or expired order", _LEFT_OUT),
    Rule.FILE_OF_BROKEN_CREATION: Explanation(
        "a file of a creation that begins again (W6)", "read from the catalog again"
    ),
    Rule.INPUT_OF_PROCESS: Explanation(
        "a file that goes into a process", "it is an input of its sub-order", is_damage=False
    ),
    Rule.FILE_PENDING_IN_FAILED_ORDER: Explanation(
        "a pending file of a failed order (4.10)", "it is in ERROR, so that it can be retried"
    ),
    Rule.EXTERNAL_FILE_PENDING: Explanation("an external file that is pending (W18)", "AVAILABLE"),
    Rule.FILE_WITHOUT_CHECKSUM: Explanation(
        "a pending file without the checksum that storage is asked by", "it is in ERROR"
    ),
    Rule.FILE_INCOMPLETE: Explanation(
        "a file without name, URL or state, or with a negative size", "filled in, or unknown"
    ),
    Rule.FILE_TWICE: Explanation(
        "a file that its dataset task has already", "taken over like any other"
    ),
    Rule.BASKET_WITHOUT_ORDER: Explanation(
        "a basket of an order that isn't there (W41)", _LEFT_OUT
    ),
    Rule.SELECTION_WITHOUT_BASKET: Explanation(
        "a selection that has lost its basket (W36)", _LEFT_OUT
    ),
    Rule.SELECTION_WITHOUT_SEARCH: Explanation(
        "a selection that has lost its searches (W36)", _LEFT_OUT
    ),
    Rule.SELECTION_TWICE: Explanation(
        "a second selection of one dataset in a basket (W36)", "its searches are in the first"
    ),
    Rule.SEARCH_UNREADABLE: Explanation("a search that can't be read", _LEFT_OUT),
    Rule.PROCESS_AND_FILTER: Explanation(
        "a selection or dataset task with a process and a filter", "the process stays"
    ),
    Rule.FILTER_NOT_RE2: Explanation(
        "a filter that RE2 refuses", "kept; a creation that needs it fails with a message"
    ),
    Rule.REQUEST_LOST: Explanation(
        "an order request that can't be read or whose job failed, without an order (W13)", _LEFT_OUT
    ),
    Rule.SETTING_INVALID: Explanation("a setting with an invalid value", "it keeps its default"),
    Rule.SETTING_UNKNOWN: Explanation("a setting that this service doesn't have", _LEFT_OUT),
    Rule.TEMPLATE_NOT_CONVERTED: Explanation(
        "a mail template that can't be converted", "written as it is, and not used"
    ),
}
"""Every rule in words; ``docs/moving-in.md`` has the same table."""


@dataclass(slots=True)
class Amount:
    """Rows and their bytes."""

    rows: int = 0
    bytes: int = 0

    def add(self, rows: int, size: int) -> None:
        self.rows += rows
        self.bytes += size


@dataclass(frozen=True, slots=True)
class Path:
    """What became of rows: those of a table in one state are here in another, or not at all."""

    table: str
    before: str
    after: str | None
    """None: not taken over."""
    rule: str = UNCHANGED


@dataclass(slots=True)
class Finding:
    """What a rule was applied to."""

    count: int = 0
    ids: list[int | str] = field(default_factory=list)
    """The first ones."""

    def add(self, ids: Iterable[int | str]) -> None:
        for id_ in ids:
            self.count += 1
            if len(self.ids) < LISTED:
                self.ids.append(id_)


class Tally:
    """What became of the rows of the source, and where a rule was applied."""

    def __init__(self) -> None:
        self.paths: dict[Path, Amount] = {}
        self.findings: dict[Rule, Finding] = {}

    def went(
        self, table: str, before: str, after: str | None, rule: str = UNCHANGED, *, size: int = 0
    ) -> None:
        """Count a row."""
        self.paths.setdefault(Path(table, before, after, rule), Amount()).add(1, size)

    def found(self, rule: Rule, *ids: int | str) -> None:
        """Note rows that a rule was applied to."""
        self.findings.setdefault(rule, Finding()).add(ids)

    def merge(self, record: Mapping[str, Any]) -> None:
        """Add the tally of a slice, as `record` returned it."""
        for table, before, after, rule, rows, size in record["paths"]:
            self.paths.setdefault(Path(table, before, after, rule), Amount()).add(rows, size)
        for name, (count, ids) in record["findings"].items():
            finding = self.findings.setdefault(Rule(name), Finding())
            finding.count += count
            finding.ids += ids[: LISTED - len(finding.ids)]

    def record(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "paths": [
                [path.table, path.before, path.after, path.rule, amount.rows, amount.bytes]
                for path, amount in self.paths.items()
            ],
            "findings": {
                rule.value: [finding.count, finding.ids] for rule, finding in self.findings.items()
            },
        }

    def of(self, table: str) -> Iterator[tuple[Path, Amount]]:
        """Yield what became of the rows of a table."""
        return ((path, amount) for path, amount in self.paths.items() if path.table == table)
