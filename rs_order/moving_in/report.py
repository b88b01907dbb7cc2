"""What a check or an import reports: counts and bytes of both sides, and the damage by rule (M1, M4)."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from rs_order.domain.instants import wire_instant
from rs_order.moving_in.rules import EXPLANATIONS, LISTED, UNCHANGED, Amount, Tally

TABLES: Final = (
    "orders",
    "dataset_tasks",
    "sub_orders",
    "files",
    "baskets",
    "dataset_selections",
    "dated_selections",
    "requests",
    "settings",
)
"""The tables of a report, in its order."""
Counts = Mapping[tuple[str, str], Amount]
"""Rows and bytes by table and state."""


@dataclass(frozen=True, slots=True)
class Line:
    """One state of a table on both sides."""

    table: str
    state: str
    source: Amount
    here: Amount
    left_out: Amount
    """Of the source, not taken over; the findings have the reasons."""


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a check or an import."""

    tenant: str
    source: str
    at: datetime
    lines: Sequence[Line]
    tally: Tally
    differences: Sequence[str] = ()
    """Where both sides don't agree with what was copied."""
    signs_of_life: Sequence[str] = ()
    seconds: float | None = None
    """How long an import will take; None: it was one."""
    templates: Sequence[str] = ()
    """Files that were written, or would be."""

    @property
    def agrees(self) -> bool:
        """True if nothing is missing on either side."""
        return not self.differences

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "tenant": self.tenant,
            "source": self.source,
            "at": wire_instant(self.at),
            "agrees": self.agrees,
            "differences": list(self.differences),
            "signsOfLife": list(self.signs_of_life),
            "expectedSeconds": None if self.seconds is None else round(self.seconds),
            "tables": [
                {
                    "table": line.table,
                    "state": line.state or None,
                    "source": _amount(line.source),
                    "here": _amount(line.here),
                    "leftOut": _amount(line.left_out),
                }
                for line in self.lines
            ],
            "changes": [
                {
                    "table": path.table,
                    "from": path.before,
                    "to": path.after,
                    "rule": path.rule or None,
                    **_amount(amount),
                }
                for path, amount in sorted(
                    self.tally.paths.items(), key=lambda item: TABLES.index(item[0].table)
                )
                if path.rule != UNCHANGED or path.after != path.before
            ],
            "findings": [
                {
                    "rule": rule.value,
                    "isDamage": EXPLANATIONS[rule].is_damage,
                    "found": EXPLANATIONS[rule].found,
                    "done": EXPLANATIONS[rule].done,
                    "count": finding.count,
                    "ids": finding.ids,
                }
                for rule, finding in sorted(self.tally.findings.items())
            ],
            "templates": list(self.templates),
        }


def text_of(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a report, which is given as JSON, for people."""
    yield f"{report['source']} -> {report['tenant']}"
    yield ""
    yield f"{'':<20} {'STATE':<18} {'SOURCE':>12} {'HERE':>12} {'LEFT OUT':>9} {'BYTES HERE':>18}"
    for line in report["tables"]:
        yield (
            f"{line['table']:<20} {line['state'] or '':<18} {line['source']['rows']:>12} "
            f"{line['here']['rows']:>12} {line['leftOut']['rows']:>9} {line['here']['bytes']:>18}"
        )
    for finding in report["findings"]:
        yield ""
        yield f"{finding['rule']}: {finding['count']}"
        yield f"  {finding['found']}: {finding['done']}"
        more = " …" if finding["count"] > len(finding["ids"]) else ""
        yield f"  {', '.join(map(str, finding['ids'][:LISTED]))}{more}"
    if report["templates"]:
        yield ""
        yield f"Mail templates: {', '.join(report['templates'])}"
    for sign in report["signsOfLife"]:
        yield f"The Java service works: {sign}"
    yield ""
    if report["expectedSeconds"] is not None:
        yield f"An import will take about {max(1, round(report['expectedSeconds'] / 60))} min."
    if report["agrees"]:
        yield "Both sides agree."
    for difference in report["differences"]:
        yield f"DIFFERENCE {difference}"


def compared(tally: Tally, source: Counts, here: Counts | None) -> tuple[list[Line], list[str]]:
    """Return the lines of a report, and where the sides differ from what was read and written.

    Args:
        tally: what was read, and what became of it.
        source: the source as it is counted afterwards.
        here: this side, counted afterwards; None: nothing was written.
    """
    read: dict[tuple[str, str], Amount] = defaultdict(Amount)
    written: dict[tuple[str, str], Amount] = defaultdict(Amount)
    left_out: dict[tuple[str, str], Amount] = defaultdict(Amount)
    for path, amount in tally.paths.items():
        read[path.table, path.before].add(amount.rows, amount.bytes)
        if path.after is None:
            left_out[path.table, path.before].add(amount.rows, amount.bytes)
        else:
            written[path.table, path.after].add(amount.rows, amount.bytes)
    differences = [
        *_differences("the source", read, source),
        *(_differences("this side", written, here) if here is not None else ()),
    ]
    keys = sorted({*read, *written}, key=lambda key: (TABLES.index(key[0]), key[1]))
    nothing = Amount()
    lines = [
        Line(*key, read.get(key, nothing), written.get(key, nothing), left_out.get(key, nothing))
        for key in keys
    ]
    return lines, differences


def _differences(side: str, counted: Counts, found: Counts) -> Iterator[str]:
    for table, state in sorted({*counted, *found}):
        if (table, state) not in found and table in ("requests", "settings"):
            continue  # nothing else counts them
        expected = counted.get((table, state), Amount())
        actual = found.get((table, state), Amount())
        if expected != actual:
            yield (
                f"{table} {state}: {side} has {actual.rows} rows with {actual.bytes} bytes, "
                f"but {expected.rows} with {expected.bytes} were copied"
            )


def _amount(amount: Amount) -> dict[str, int]:
    return {"rows": amount.rows, "bytes": amount.bytes}
