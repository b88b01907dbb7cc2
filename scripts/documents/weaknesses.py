"""Generates ``docs/weaknesses.md``: weaknesses of the reference, and the tests that rs_order has none."""

import re
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from scripts.documents.markdown import generated_from, table

ROOT = Path(__file__).parents[2]


class Weakness(NamedTuple):
    """A row of domain.md 19 in a few words, and what rs_order does instead."""

    reference: str
    instead: str


WEAKNESSES: dict[int, Weakness] = {
    1: Weakness(
        "A sub-order that waits for tape holds a thread of a small pool.",
        "It waits as a row: no task, connection or message is occupied.",
    ),
    2: Weakness(
        "After two hours without an answer files stay PENDING for ever; late answers are ignored.",
        "Storage is asked again with growing pauses; failed files have a reason; a late answer still counts.",
    ),
    3: Weakness(
        "A crash or an unexpected error during completion leaves the order PENDING for ever.",
        "Completion is a chain of steps with a cursor. An order that can't continue is FAILED with a reason; "
        "an unexpected error leads to a dead letter that can be replayed.",
    ),
    4: Weakness(
        "Messages longer than 255 characters make the save fail.",
        "A message of any length is stored completely.",
    ),
    5: Weakness(
        "Files with equal checksums, or without any, become one file.",
        "A file is identified by product, name and checksum, or by its URL if it has no checksum.",
    ),
    6: Weakness(
        "Files and jobs are committed before their order, which leaves orphans and jobs without sub-order.",
        "One commit writes the files, sub-orders, counters and next step of a page; nothing starts before "
        "the last page.",
    ),
    7: Weakness(
        "A failed, refused or dead process never marks its outputs: the order runs until it expires.",
        "After a rejection, a failure, missing inputs or a timeout, its outputs are PROCESSING_ERROR with "
        "a reason.",
    ),
    8: Weakness(
        "Whole rows are read, changed in memory and written back: updates are lost.",
        "Counters move while the order's row is locked; files move by conditional statements.",
    ),
    9: Weakness(
        "A completion overwrites a pause or a cancel that happened meanwhile.",
        "A step whose order is paused or deleted does nothing: the later decision of a user counts.",
    ),
    10: Weakness(
        "Answers of storage reach only the instance that asked, and change other tenants.",
        "Any instance handles any answer, within its tenant.",
    ),
    11: Weakness(
        "A checksum reported as both available and unavailable is counted twice: the job ends early.",
        "A file is settled once, by a conditional update; unavailable wins.",
    ),
    12: Weakness(
        "An automatic order contains the user's interactive basket, and changes it.",
        "An automatic order has its own basket.",
    ),
    13: Weakness(
        "One bad request in a batch suppresses all responses; GRANTED may follow the final status.",
        "Each request has its own response; GRANTED is first, the final status last; every valid value "
        "can be stored.",
    ),
    14: Weakness(
        "Zip, metalink and file lists are open to all users; tokens aren't bound to their order.",
        "Owners, administrators and users who may search have access; a token is valid for one order only.",
    ),
    15: Weakness(
        "A file whose download fails is neither in the zip nor in the notice, but DOWNLOADED.",
        "It is listed in NOTICE.txt and is DOWNLOAD_ERROR.",
    ),
    16: Weakness(
        "An external file that is downloaded alone never becomes DOWNLOADED.",
        "It becomes DOWNLOADED, as in a zip.",
    ),
    17: Weakness(
        "The download of one external file makes its sub-order take a slot.",
        "External sub-orders never take a slot.",
    ),
    18: Weakness(
        "A retry resets available files, loses external ones, keeps stale flags, counts sub-orders twice.",
        "It changes only the files in error; emptied sub-orders are no longer counted.",
    ),
    19: Weakness(
        "A resumed order requests all files again: DOWNLOADED becomes AVAILABLE.",
        "It requests only its pending files.",
    ),
    20: Weakness(
        "Single downloads over 2 GiB, or of unknown length, fail at their end.",
        "Sizes are 64-bit and may be unknown.",
    ),
    21: Weakness(
        "A zip holds a database connection and all its files in memory.",
        "It has neither: rows are read in pages, bytes in pieces.",
    ),
    22: Weakness(
        "Every second every instance recomputes all running orders.",
        "Counters change together with the files; while nothing happens, no order is read.",
    ),
    23: Weakness(
        "All expired orders of a tenant are one transaction; one that fails blocks the others.",
        "Each expiry is a delayed step with its own transaction, followed by bounded slices.",
    ),
    24: Weakness(
        "Tokens of mails and public metalinks have no user, so their links answer 403.",
        "They are signed for the order's owner.",
    ),
    25: Weakness(
        "Results per input file are marked in error after they were applied.",
        "One transaction applies a result with conditional updates: an applied result stays.",
    ),
    26: Weakness(
        "A result for one product marks the others of its sub-order in error.",
        "A result changes only the outputs of its execution.",
    ),
    27: Weakness(
        "Sub-order 1 also matches 10; results for deleted orders become dead letters.",
        "Whole identifiers are compared; results for deleted orders are dropped and counted.",
    ),
    28: Weakness(
        "Files of 0 or unknown bytes don't count: the order is done too early.",
        "An order is final when every file is settled, of any size.",
    ),
    29: Weakness(
        "The failure of a processed order is decided by comparing inputs with outputs.",
        "Only its outputs decide.",
    ),
    30: Weakness(
        "A lost trigger blocks a user; two instances may exceed the user's limit.",
        "A commit that makes a scheduling pass necessary also writes its step, which runs under a lock.",
    ),
    31: Weakness(
        "A crash keeps the owner's completion lock for up to 16 h 40.",
        "There is no such lock; all locks end with their transaction.",
    ),
    32: Weakness(
        "A page costs several statements per order; lists are paged in memory.",
        "A page takes a bounded number of statements, for any size.",
    ),
    33: Weakness(
        "Hot look-ups have no index.",
        "Each has an index, and a test of its query plan.",
    ),
    34: Weakness(
        "Caches of users are shared by all tenants.",
        "Each key has its tenant.",
    ),
    35: Weakness(
        "A cancel polls for minutes in a pool thread and may end in ERROR, which allows no further action.",
        "A cancel is one short transaction; an order in ERROR can be deleted. The order shows the outcome, "
        "as before.",
    ),
    36: Weakness(
        "Of two datasets with the same label one is lost; a missing label fails.",
        "Both stay; the URN replaces a missing label.",
    ),
    37: Weakness(
        "A selection beyond a process's limit is rejected, but stored; bytes and files count twice.",
        "It is not stored; each file counts once.",
    ),
    38: Weakness(
        "A removal that fails to recompute is shown as done.",
        "The failure is reported, and nothing is changed.",
    ),
    39: Weakness(
        "A change of rights ignores “linked to all datasets”.",
        "It counts.",
    ),
    40: Weakness(
        "Two orders in one second get the same label: 422.",
        "The second gets “ (2)”.",
    ),
    41: Weakness(
        "Rows of finished work are kept for ever.",
        "Steps, completions and mails are deleted with their work, the inbox after its retention, files and "
        "sub-orders with the order; capacity is released. Downloaded and FAILED orders stay until they are "
        "deleted, as before: their files can be listed, downloaded again and retried.",
    ),
    42: Weakness(
        "The process of a paused order still starts.",
        "A step whose order is paused does nothing; the resume starts the process.",
    ),
    43: Weakness(
        "A single user gets priority 0; waiting doesn't raise a priority.",
        "Smaller sub-orders start first, but waiting counts. If the service has a limit, users share it by "
        "recent use and weight; among equals, those with the fewest running sub-orders are first.",
    ),
    44: Weakness(
        "The number of threads is not limited; whole baskets and pages are in memory.",
        "A bounded number of steps run at the same time, each with one page.",
    ),
    45: Weakness(
        "Tests sleep, run one instance, or are disabled.",
        "Tests wait for signals, on real servers; none is disabled.",
    ),
}

_NAMED = re.compile(r"^ *(?:async )?def (test_((?:w\d+_)+)\w+)", re.MULTILINE)
_INTRODUCTION = """\
# Weaknesses of the reference, and what rs_order does

{mark}

The numbers are those of [domain.md 19](contract/domain.md#19-known-weaknesses-of-the-original), which has
the details. The tests have the numbers in their names (`test_w9_w18_…`)."""


def weaknesses() -> str:
    tests = named_tests()
    rows = [
        [
            f"W{number}",
            weakness.reference,
            weakness.instead,
            "<br>".join(_link(*t) for t in tests[number]),
        ]
        for number, weakness in WEAKNESSES.items()
    ]
    introduction = _INTRODUCTION.format(
        mark=generated_from("`scripts/documents/weaknesses.py` and `tests/`")
    )
    return f"{introduction}\n\n{table(['', 'The reference', 'rs_order', 'Shown by'], rows)}\n"


def named_tests() -> dict[int, list[tuple[str, str]]]:
    """Return path and name of the tests that have the number of each weakness in their name."""
    found: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for name, numbers in _NAMED.findall(path.read_text(encoding="utf-8")):
            for number in re.findall(r"\d+", numbers):
                found[int(number)].append((path.relative_to(ROOT).as_posix(), name))
    return found


def _link(path: str, name: str) -> str:
    return f"[{name}](../{path})"
