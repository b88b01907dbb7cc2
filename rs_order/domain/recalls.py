"""Which checksums a sub-order asks of storage, and which it joins (waiting.md T7, T8).

A checksum that storage was asked for and has not settled isn't asked again for another sub-order: the later
one joins, and the answer settles both.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from rs_order.domain.ids import Checksum, OrderId, SubOrderId

MUCH_LONGER: Final = 1.5
"""A file is asked for again if it is needed for more than so many times the availability that was asked."""


@dataclass(frozen=True, slots=True)
class PendingFile:
    """The files of one checksum that a sub-order waits for."""

    sub_order_id: SubOrderId
    checksum: Checksum
    files: int = 1
    bytes: int = 0
    joined: bool = False
    """True if the sub-order has joined the request of another one."""


@dataclass(frozen=True, slots=True)
class Recall:
    """A request to storage that isn't answered, of one checksum."""

    asked_by: SubOrderId
    order_id: OrderId
    """Of the sub-order that asked."""
    hours: int
    """The availability that was asked for, or less."""


@dataclass(frozen=True, slots=True)
class Shared:
    """A checksum that other sub-orders wait for, too."""

    recall: Recall | None
    """None: no other sub-order has asked for it."""
    hours: int
    """The longest availability that the others need."""


@dataclass(frozen=True, slots=True)
class Need:
    """A sub-order that needs its pending files."""

    id: SubOrderId
    order_id: OrderId
    hours: int
    """The availability that it needs."""
    pending: Sequence[PendingFile]


@dataclass(frozen=True, slots=True)
class JoinedFile:
    """A checksum for which a sub-order has joined the request of another one."""

    sub_order_id: SubOrderId
    checksum: Checksum
    asked_by: SubOrderId
    asks_longer: bool = False
    """True if the availability that was asked for is much too short: it asks when the answer has come."""


@dataclass(slots=True)
class Share:
    """What one sub-order asks for and joins."""

    asked: dict[int, list[Checksum]] = field(default_factory=lambda: defaultdict(list))
    """Checksums by the availability that they are asked with, in hours."""
    joined: list[JoinedFile] = field(default_factory=list)
    left: list[Checksum] = field(default_factory=list)
    """Those that it had joined, and asks for itself now."""
    joined_files: int = 0
    joined_bytes: int = 0

    @property
    def hours(self) -> int | None:
        """Return the shortest availability that it asks with; None: it asks for nothing."""
        return min(self.asked, default=None)


def share(needs: Sequence[Need], shared: Mapping[Checksum, Shared]) -> Mapping[SubOrderId, Share]:
    """Return what each sub-order asks for and joins. The first of those that need a checksum asks for it.

    Args:
        needs: sub-orders that ask at the same time, in their order.
        shared: the checksums that further sub-orders wait for.
    """
    longest: dict[Checksum, int] = {checksum: one.hours for checksum, one in shared.items()}
    for need in needs:
        for file in need.pending:
            longest[file.checksum] = max(need.hours, longest.get(file.checksum, 0))
    recalls = {checksum: one.recall for checksum, one in shared.items() if one.recall}
    shares: dict[SubOrderId, Share] = {}
    for need in needs:
        mine = shares[need.id] = Share()
        for file in need.pending:
            recall = recalls.get(file.checksum)
            if recall is None:
                hours = longest[file.checksum]
                recalls[file.checksum] = Recall(need.id, need.order_id, hours)
                _ask(mine, file, hours)
            else:
                _join(mine, file, recall, need.hours)
    return shares


def _ask(mine: Share, file: PendingFile, hours: int) -> None:
    mine.asked[hours].append(file.checksum)
    if file.joined:
        mine.left.append(file.checksum)


def _join(mine: Share, file: PendingFile, recall: Recall, hours: int) -> None:
    longer = hours > MUCH_LONGER * recall.hours
    mine.joined.append(JoinedFile(file.sub_order_id, file.checksum, recall.asked_by, longer))
    mine.joined_files += file.files
    mine.joined_bytes += file.bytes


def remind(need: Need, shared: Mapping[Checksum, Shared]) -> Share:
    """Return what a sub-order reminds storage of: what it asked for, and what nobody else reminds it of."""
    joined = {file.checksum for file in need.pending if file.joined}
    return share(
        [need],
        {
            checksum: one if checksum in joined else Shared(None, one.hours)
            for checksum, one in shared.items()
        },
    )[need.id]
