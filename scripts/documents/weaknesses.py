"""``docs/weaknesses.md``: weaknesses of the reference, what rs_order does instead, tests that show it."""

import re
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from scripts.documents.markdown import generated_from, table

ROOT = Path(__file__).parents[2]


class Weakness(NamedTuple):
    """One row of domain.md 19, in a few words, and our answer to it."""

    reference: str
    ours: str


WEAKNESSES: dict[int, Weakness] = {
    1: Weakness(
        "A sub-order that waits for tape holds a thread of a small pool.",
        "Waiting is a row: no task, connection or message is held.",
    ),
    2: Weakness(
        "After two hours of silence files stay PENDING for ever; late answers are ignored.",
        "Storage is asked again with growing pauses, files given up say why, a late answer still counts.",
    ),
    3: Weakness(
        "A crash or an unforeseen error during completion leaves the order PENDING for ever.",
        "Completion is a chain of steps with a cursor; what can't go on ends FAILED with its reason; an "
        "error nobody foresaw is a dead letter that is replayed.",
    ),
    4: Weakness(
        "Messages longer than 255 characters make the save fail.",
        "The message is text of any length, kept whole.",
    ),
    5: Weakness(
        "Files with equal checksums, or without any, collapse into one.",
        "A file is its product, name and checksum, and its URL where it has no checksum.",
    ),
    6: Weakness(
        "Files and jobs are committed before their order: orphans, and jobs without sub-order.",
        "A page's files, sub-orders, counters and next step are one commit; nothing starts before the end.",
    ),
    7: Weakness(
        "A failed, refused or dead process never marks its outputs: the order runs until it expires.",
        "Refusal, failure, missing inputs and silence each end as PROCESSING_ERROR with a reason.",
    ),
    8: Weakness(
        "Whole rows are read, changed in memory and written back: updates are lost.",
        "Counters move while the order's row is locked; files move by conditional statements.",
    ),
    9: Weakness(
        "A completion overwrites a pause or a cancel that came meanwhile.",
        "A step that finds its order paused or deleted stops: the later decision of a person wins.",
    ),
    10: Weakness(
        "Answers of storage reach only the instance that asked, and cross tenants.",
        "Any instance takes any answer, inside the tenant it is for.",
    ),
    11: Weakness(
        "A checksum reported as both available and unavailable is counted twice: the job ends early.",
        "A file is settled by a conditional move; what is unavailable wins.",
    ),
    12: Weakness(
        "An automatic order takes along, and changes, the user's interactive basket.",
        "An automatic order has a basket of its own.",
    ),
    13: Weakness(
        "One bad request of a batch silences all; GRANTED may come after the end.",
        "Each request stands alone; GRANTED first, the final status last; what validation accepts is stored.",
    ),
    14: Weakness(
        "Zip, metalink and file lists are open to everybody; tokens aren't bound to their order.",
        "Owner, administrators and those who may search; a token opens its order's files only.",
    ),
    15: Weakness(
        "A file whose download throws is neither in the zip nor in the notice, yet DOWNLOADED.",
        "It is named in NOTICE.txt and is DOWNLOAD_ERROR.",
    ),
    16: Weakness(
        "An external file that is downloaded singly never becomes DOWNLOADED.",
        "It does, as in a zip.",
    ),
    17: Weakness(
        "Touching one external file makes its sub-order take a slot.",
        "External sub-orders take none, whatever happens to their files.",
    ),
    18: Weakness(
        "A retry resets healthy files, loses external ones, keeps stale flags, counts sub-orders twice.",
        "It takes the files in error and only them; emptied sub-orders are no longer counted.",
    ),
    19: Weakness(
        "A resumed order asks for everything again: DOWNLOADED goes back to AVAILABLE.",
        "Only what isn't settled is asked for.",
    ),
    20: Weakness(
        "Single downloads over 2 GiB, or of unknown length, fail at their end.",
        "Sizes are 64-bit and may be unknown.",
    ),
    21: Weakness(
        "A zip holds a database connection and all its files in memory.",
        "It holds neither: files are read in pages, bytes in pieces.",
    ),
    22: Weakness(
        "Every second every instance recomputes all running orders.",
        "Counters move with the change; while nothing happens no order is looked at.",
    ),
    23: Weakness(
        "All expired orders of a tenant are one transaction; one that fails blocks the others.",
        "An expiry is a delayed step of its order: a transaction of its own, and bounded slices after it.",
    ),
    24: Weakness(
        "Tokens of mails and public metalinks name nobody: their links answer 403.",
        "They are signed for the order's owner.",
    ),
    25: Weakness(
        "Results per input file are marked in error after they were taken.",
        "One transaction, conditional moves: what was taken stays taken.",
    ),
    26: Weakness(
        "A result for one product marks the others of its sub-order in error.",
        "A result touches the outputs of its execution only.",
    ),
    27: Weakness(
        "Sub-order 1 also matches 10; results for deleted orders become dead letters.",
        "Exact identifiers by an index; results for deleted orders are dropped and counted.",
    ),
    28: Weakness(
        "Files of 0 or unknown bytes are forgotten: the order is done too early.",
        "An order is final when every file is settled, whatever its size.",
    ),
    29: Weakness(
        "The failure of a processed order is decided by comparing inputs with outputs.",
        "Its outputs alone decide.",
    ),
    30: Weakness(
        "A lost trigger blocks a user; two instances may exceed the user's limit.",
        "Scheduling is a step in the commit that calls for it, under a lock of its transaction.",
    ),
    31: Weakness(
        "A crash keeps the owner's completion lock for up to 16 h 40.",
        "There is no such lock; all locks end with their transaction.",
    ),
    32: Weakness(
        "A page costs several statements per order; lists are paged in memory.",
        "A page is a bounded number of statements whatever its size.",
    ),
    33: Weakness(
        "Hot look-ups have no index.",
        "Each has one, and a test of its plan.",
    ),
    34: Weakness(
        "Caches of users are shared by all tenants.",
        "Each key has its tenant.",
    ),
    35: Weakness(
        "A cancel polls for minutes in a pool thread and may end in ERROR, a dead end.",
        "A cancel is one short transaction; ERROR can be deleted. The outcome is on the order, as before.",
    ),
    36: Weakness(
        "Of two datasets with the same label one is lost; a missing label fails.",
        "Both stay; the URN stands in for a missing label.",
    ),
    37: Weakness(
        "A selection beyond a process's limit is refused, and kept; bytes and files count twice.",
        "Nothing of it is kept; each file counts once.",
    ),
    38: Weakness(
        "A removal that fails to recompute is shown as done.",
        "The failure is reported, and nothing is changed.",
    ),
    39: Weakness(
        "A change of rights ignores “linked to all datasets”.",
        "It is honoured.",
    ),
    40: Weakness(
        "Two orders in one second get the same label: 422.",
        "The second gets “ (2)”.",
    ),
    41: Weakness(
        "Rows of finished work are kept for ever.",
        "Steps, completions and mails are deleted with their work, the inbox after its retention, files and "
        "sub-orders with the order; capacity is released. What was fetched whole or FAILED stays until it "
        "is deleted, as before: "
        "its files can be listed, downloaded again and retried.",
    ),
    42: Weakness(
        "The process of a paused order starts all the same.",
        "A step that finds its order paused stops; resuming starts it again.",
    ),
    43: Weakness(
        "A lone user gets priority 0; nothing ages.",
        "Smaller first, with ageing; where the service has a limit, users with the fewest running before.",
    ),
    44: Weakness(
        "Threads without bound; whole baskets and pages in memory.",
        "A bounded number of steps at once, a page each.",
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

The numbers are those of [domain.md 19](contract/domain.md#19-known-weaknesses-of-the-original), which says
more of each. A test stands here when its name begins with the number, or the numbers (`test_w9_w18_…`)."""


def weaknesses() -> str:
    tests = named_tests()
    rows = [
        [
            f"W{number}",
            weakness.reference,
            weakness.ours,
            "<br>".join(_link(*t) for t in tests[number]),
        ]
        for number, weakness in WEAKNESSES.items()
    ]
    introduction = _INTRODUCTION.format(
        mark=generated_from("`scripts/documents/weaknesses.py` and `tests/`")
    )
    return f"{introduction}\n\n{table(['', 'The reference', 'rs_order', 'Shown by'], rows)}\n"


def named_tests() -> dict[int, list[tuple[str, str]]]:
    """Path and name of the tests that carry the number of each weakness."""
    found: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for name, numbers in _NAMED.findall(path.read_text(encoding="utf-8")):
            for number in re.findall(r"\d+", numbers):
                found[int(number)].append((path.relative_to(ROOT).as_posix(), name))
    return found


def _link(path: str, name: str) -> str:
    return f"[{name}](../{path})"
