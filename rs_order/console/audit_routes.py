"""The page of the audit: who did what, when, to what, before and after, and why (console.md 4)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import Depends, Query, Response
from starlette.responses import StreamingResponse

from rs_order.audit.representation import csv_parts
from rs_order.console.paging import Neighbours
from rs_order.console.texts import Texts
from rs_order.console.visits import Pages, Visit, Visiting
from rs_order.contracts.platform_names import INSTANCE_ADMIN
from rs_order.contracts.wire import INT64
from rs_order.rest.resources import EXPORT_AUDIT, READ_AUDIT
from rs_order.store.audit import Audit, AuditAction, AuditRecord, AuditSearch

PAGE_SIZE: Final = 50
LONGEST_VALUE: Final = 300
"""The most characters of a value before or after that the list shows; the CSV has all of it."""
Text = Annotated[str, Query(max_length=255)]
Day = Annotated[str, Query(max_length=10)]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The filter in the address."""

    actor: str = ""
    action: str = ""
    about: str = ""
    """The id of the object."""
    project: str = ""
    since: str = ""
    until: str = ""
    """Days in UTC; both are included."""

    def search(self, visit: Visit) -> AuditSearch:
        """Return the search; only INSTANCE_ADMIN sees other projects than their own."""
        found = AuditSearch(
            tenant=self.project or None,
            actor=self.actor.strip() or None,
            action=self.action or None,
            object_id=self.about.strip() or None,
            since=_day(self.since),
            until=_day(self.until, days=1),
        )
        if visit.caller.role == INSTANCE_ADMIN:
            return found
        return replace(found, tenant=visit.caller.tenant)

    def query(self, **more: object) -> str:
        values: dict[str, object] = {
            "actor": self.actor,
            "action": self.action,
            "object": self.about,
            "project": self.project,
            "since": self.since,
            "until": self.until,
        }
        return urlencode({name: value for name, value in {**values, **more}.items() if value})


def _day(text: str, days: int = 0) -> datetime | None:
    """Return the beginning of a day; None if the text is no date."""
    try:
        return datetime.combine(date.fromisoformat(text), time(tzinfo=UTC)) + timedelta(days=days)
    except (ValueError, OverflowError):
        return None


async def _wanted(  # noqa: PLR0917 - FastAPI passes them by name
    actor: Text = "",
    action: Text = "",
    about: Annotated[str, Query(alias="object", max_length=255)] = "",
    project: Text = "",
    since: Day = "",
    until: Day = "",
) -> Wanted:
    return Wanted(actor, action, about, project, since, until)


@dataclass(frozen=True, slots=True)
class AuditRow:
    at: datetime
    actor: str
    role: str
    door: str
    action: str
    about: str
    project: str
    before: str
    after: str
    reason: str


def audit_row(entry: AuditRecord, texts: Texts) -> AuditRow:
    key = f"audit.{entry.action}"
    return AuditRow(
        at=entry.at,
        actor=entry.actor,
        role=entry.role or "",
        door=entry.door,
        action=texts(key) if texts.has(key) else entry.action,
        about=f"{entry.object_kind} {entry.object_id}",
        project=entry.tenant or "",
        before=value_text(entry.before),
        after=value_text(entry.after),
        reason=entry.reason or "",
    )


def value_text(value: Any) -> str:
    """Return a value before or after an act: members of an object one by one, anything else as JSON."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        text = ", ".join(f"{name}: {_short(one)}" for name, one in value.items())
    else:
        text = _short(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def serve_audit(pages: Pages, audit: Audit) -> None:
    @pages.page("/audit", READ_AUDIT)
    async def show_audit(
        visit: Visiting,
        wanted: Annotated[Wanted, Depends(_wanted)],
        after: Annotated[int | None, Query(ge=1, le=INT64)] = None,
    ) -> Response:
        found = await audit.page(wanted.search(visit), limit=PAGE_SIZE + 1, after=after)
        shown = found[:PAGE_SIZE]
        root = f"{visit.root}/audit"
        more = len(found) > PAGE_SIZE
        return visit.page(
            "audit.html",
            current="audit",
            wanted=wanted,
            query=wanted.query(),
            filtered=wanted != Wanted(),
            actions=tuple(AuditAction),
            every_project=visit.caller.role == INSTANCE_ADMIN,
            rows=[audit_row(entry, visit.texts) for entry in shown],
            pages=Neighbours(
                f"{root}?{wanted.query()}" if after else None,
                f"{root}?{wanted.query(after=shown[-1].id)}" if more else None,
            ),
            may_export=visit.may(EXPORT_AUDIT),
        )

    @pages.page("/audit.csv", EXPORT_AUDIT)
    async def export_audit(
        visit: Visiting, wanted: Annotated[Wanted, Depends(_wanted)]
    ) -> Response:
        return StreamingResponse(
            csv_parts(audit.export(wanted.search(visit))),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": "attachment;filename=audit.csv"},
        )
