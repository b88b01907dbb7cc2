"""The command ``scripts/compare-openapi``: compares the served endpoints with the tables of rest.md.

``ADDED`` and ``MISSING`` have the reasons of differences. A reason without a difference is reported, too.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CHAPTER = ROOT / "docs/contract/rest.md"
SECTIONS = (6, 7, 9, 10, 11)
"""The sections of rest.md that have tables of endpoints."""

_DEAD_LETTERS = "for operators of this service (docs/operations.md)"
_PROGRESS = "for users: why an order isn't further (docs/topics/reasons.md)"
_QUOTES = "for users: what an order would be (docs/topics/quotes.md)"
_ARCHIVES = "for users: downloads that resume (docs/topics/downloads.md)"
_EVENTS = "for users and services: what happens to orders (docs/topics/events.md)"
_LISTS = "for users: lists for download tools (docs/topics/downloads.md)"
_STAC = "for users: orders in STAC (docs/topics/stac.md)"
_HOLDS = "for operators; holds, shares and limits are ours (docs/topics/shares-and-holds.md)"

ADDED: Mapping[str, str] = {
    "HEAD /orders/files/{dataFileId}": "rest.md 10.1, quirks: answered there by a whole download",
    "GET /security/resources": "rest.md 11.6: described in a sentence",
    "GET /dead-letters": _DEAD_LETTERS,
    "POST /dead-letters/replay": _DEAD_LETTERS,
    "POST /dead-letters/discard": _DEAD_LETTERS,
    "POST /dead-letters/runs": _DEAD_LETTERS,
    "GET /dead-letters/runs/{runId}": _DEAD_LETTERS,
    "DELETE /dead-letters/runs/{runId}": _DEAD_LETTERS,
    "GET /dead-letters/{letterId}": _DEAD_LETTERS,
    "POST /dead-letters/{letterId}/replay": _DEAD_LETTERS,
    "PUT /orders/{orderId}/ask-again": "console.md 4, *Standing still*",
    "GET /holds": _HOLDS,
    "POST /holds": _HOLDS,
    "DELETE /holds/{holdId}": _HOLDS,
    "GET /user/orders/{orderId}/progress": _PROGRESS,
    "GET /user/orders/{orderId}/progress/suborders": _PROGRESS,
    "GET /estimates/calibration": "for operators (docs/topics/expected-times.md)",
    "GET /user/orders/{orderId}/files.{kind}": _LISTS,
    "GET /orders/public/files.{kind}": _LISTS,
    "GET /user/orders/{orderId}/order_{documentId}.meta4": _LISTS,
    "GET /orders/public/order_{orderId}.meta4": _LISTS,
    "POST /orders/quote": _QUOTES,
    "GET /orders/quotes/{quoteId}": _QUOTES,
    "GET /events": _EVENTS,
    "GET /events/stream": _EVENTS,
    "GET /schemas/events-1.json": _EVENTS,
    "POST /subscriptions": _EVENTS,
    "GET /subscriptions": _EVENTS,
    "GET /subscriptions/{subscriptionId}": _EVENTS,
    "PUT /subscriptions/{subscriptionId}": _EVENTS,
    "DELETE /subscriptions/{subscriptionId}": _EVENTS,
    "GET /subscriptions/{subscriptionId}/events": _EVENTS,
    "POST /subscriptions/{subscriptionId}/ack": _EVENTS,
    "POST /subscriptions/{subscriptionId}/test": _EVENTS,
    "POST /subscriptions/{subscriptionId}/secret": _EVENTS,
    "POST /subscriptions/{subscriptionId}/replay": _EVENTS,
    "GET /subscriptions/{subscriptionId}/deliveries": _EVENTS,
    "POST /user/orders/{orderId}/archives": _ARCHIVES,
    "GET /user/orders/{orderId}/archives": _ARCHIVES,
    "GET /user/orders/{orderId}/archives/{archiveId}": _ARCHIVES,
    "GET /user/orders/{orderId}/archives/{archiveId}/manifest": _ARCHIVES,
    "GET /user/orders/{orderId}/archives/{archiveId}/{name}": _ARCHIVES,
    "GET /orders/public/archives/{archiveId}/{name}": _ARCHIVES,
    "GET /user/orders/{orderId}/archive.{format}": _ARCHIVES,
    "GET /orders/public/archive.{format}": _ARCHIVES,
    "GET /stac": _STAC,
    "GET /stac/conformance": _STAC,
    "GET /stac/collections": _STAC,
    "GET /stac/collections/order-{orderId}": _STAC,
    "HEAD /stac/collections/order-{orderId}": _STAC,
    "GET /stac/collections/order-{orderId}/items": _STAC,
    "GET /stac/collections/order-{orderId}/items/{itemId}": _STAC,
    "GET /stac/search": _STAC,
    "POST /stac/search": _STAC,
    "POST /stac/orders": _STAC,
    "GET /stac/eodag.yml": _STAC,
    "GET /problems/{code}": "explains the codes of failures of endpoints that are ours",
    "POST /holds/preview": _HOLDS,
    "GET /queue": _HOLDS,
    "GET /limits": _HOLDS,
    "PUT /limits": _HOLDS,
    "POST /limits/preview": _HOLDS,
    "GET /shares": _HOLDS,
    "PUT /shares": _HOLDS,
    "POST /shares/preview": _HOLDS,
    "GET /actuator/health": "rest.md 11.7: a table of its own form",
    "GET /actuator/health/liveness": "probes of orchestrators, with Spring's names",
    "GET /actuator/health/readiness": "probes of orchestrators, with Spring's names",
    "GET /actuator/info": "rest.md 11.7",
    "GET /actuator/prometheus": "rest.md 11.7",
    "GET /audit": "for operators; the reference keeps no audit",
    "GET /audit/csv": "for operators; the reference keeps no audit",
}
"""The reasons of endpoints that are served, but in no table."""

MISSING: Mapping[str, str] = {}
"""The reasons of endpoints that are in a table, but not served (``POST /shutdown/immediate`` is in none)."""

VERBS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")


def promised(chapter: str) -> set[str]:
    """Return ``VERB /path`` of each row in tables that begin with verb and path."""
    found = set[str]()
    for section in _sections(chapter):
        in_table = False
        for line in section.splitlines():
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if not line.startswith("|"):
                in_table = False
            elif cells[:2] == ["Verb", "Path"]:
                in_table = True
            elif in_table and cells[0] in VERBS:
                found.add(f"{cells[0]} {cells[1].strip('`')}")
    return found


def served(document: Mapping[str, Any]) -> set[str]:
    """Return ``VERB /path`` of each operation in an OpenAPI document."""
    return {
        f"{verb.upper()} {path}"
        for path, item in document["paths"].items()
        for verb in item
        if verb.upper() in VERBS
    }


def differences(
    in_tables: set[str],
    in_document: set[str],
    *,
    added: Mapping[str, str] = ADDED,
    missing: Mapping[str, str] = MISSING,
) -> list[str]:
    """Return a line for each endpoint without a reason for its difference, or with a needless reason."""
    absent, extra = in_tables - in_document, in_document - in_tables
    needless = (missing.keys() - absent) | (added.keys() - extra)
    return [
        *(f"missing: {one}" for one in sorted(absent - missing.keys())),
        *(f"added: {one}" for one in sorted(extra - added.keys())),
        *(f"reason without need: {one}" for one in sorted(needless)),
    ]


def _sections(chapter: str) -> Iterator[str]:
    for part in re.split(r"^## ", chapter, flags=re.MULTILINE)[1:]:
        number = re.match(r"\d+", part)
        if number and int(number[0]) in SECTIONS:
            yield part


def main() -> None:
    """Compare the document on standard input; exit with code 1 if there is a difference."""
    in_document = served(json.load(sys.stdin))
    in_tables = promised(CHAPTER.read_text(encoding="utf-8"))
    if found := differences(in_tables, in_document):
        sys.exit("\n".join(found))
    sys.stdout.write(
        f"{len(in_document)} endpoints: {len(in_tables)} of rest.md, {len(ADDED)} with a reason\n"
    )


if __name__ == "__main__":
    main()
