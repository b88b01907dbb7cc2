"""Shows entries of the audit as JSON and as CSV."""

import csv
import io
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import orjson

from rs_order.contracts.administration import AuditEntryDto
from rs_order.domain.instants import wire_instant
from rs_order.rest.answers import formula_free
from rs_order.store.audit import AuditRecord

COLUMNS: Final = (
    "DATE",
    "TENANT",
    "ACTOR",
    "ROLE",
    "DOOR",
    "ACTION",
    "OBJECT_KIND",
    "OBJECT_ID",
    "BEFORE",
    "AFTER",
    "REASON",
    "CORRELATION_ID",
)


def audit_entry(entry: AuditRecord) -> AuditEntryDto:
    return AuditEntryDto(
        id=entry.id,
        date=entry.at,
        tenant=entry.tenant,
        actor=entry.actor,
        role=entry.role,
        door=entry.door,
        action=entry.action,
        object_kind=entry.object_kind,
        object_id=entry.object_id,
        before=entry.before,
        after=entry.after,
        reason=entry.reason,
        correlation_id=entry.correlation_id,
    )


async def csv_parts(parts: AsyncIterator[Sequence[AuditRecord]]) -> AsyncIterator[str]:
    """Yield the header, then the lines of each part. Cells are quoted where they need it."""
    yield _lines([COLUMNS])
    async for part in parts:
        yield _lines([_cells(entry) for entry in part])


def json_text(value: Any) -> str:
    """Return a JSON value as text; none: an empty text."""
    return "" if value is None else orjson.dumps(value).decode()


def _cells(entry: AuditRecord) -> Sequence[str]:
    texts = (
        entry.tenant,
        entry.actor,
        entry.role,
        entry.door,
        entry.action,
        entry.object_kind,
        entry.object_id,
        json_text(entry.before),
        json_text(entry.after),
        entry.reason,
        entry.correlation_id,
    )
    return [wire_instant(entry.at), *(formula_free(text or "") for text in texts)]


def _lines(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=";", lineterminator="\n").writerows(rows)
    return text.getvalue()
