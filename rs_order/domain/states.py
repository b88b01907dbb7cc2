"""What an order, a sub-order and a data file can be; what they become is in ``moves.py``.

The database knows no other value (``schema/tenant.sql``); lists such as "final" are computed here.
"""

from enum import StrEnum


class FileState(StrEnum):
    """State of a data file (domain.md 2.1)."""

    PENDING = "PENDING"
    """Storage (or a process) still has to say whether the file can be had."""
    AVAILABLE = "AVAILABLE"
    """Ready to download: storage said so, or nobody has to be asked (external file)."""
    DOWNLOADED = "DOWNLOADED"
    """All its bytes went to the user, with the checksum of the catalog."""
    DOWNLOAD_ERROR = "DOWNLOAD_ERROR"
    """A download was tried and failed; no error of the order (K2)."""
    ERROR = "ERROR"
    """Storage can't deliver it, or never answered."""
    PROCESSING_ERROR = "PROCESSING_ERROR"
    """The process that had to make it failed."""

    @property
    def settled(self) -> bool:
        """Nobody is waited for any more; counts for the percentage."""
        return self is not FileState.PENDING

    @property
    def failed(self) -> bool:
        """Counts as an error of the order."""
        return self in (FileState.ERROR, FileState.PROCESSING_ERROR)


class SubOrderState(StrEnum):
    """Where a sub-order stands on its way from the catalog to the user."""

    BUILDING = "BUILDING"
    """The completion of its order, or a retry, still adds files to it."""
    READY = "READY"
    """Complete; waits for a free slot of its owner, or for its paused order."""
    RUNNING = "RUNNING"
    """Storage was asked for its files, or for the inputs of its process, and has not settled them all."""
    PROCESSING = "PROCESSING"
    """Its inputs are settled; rs-processing is asked for its files, or at work on them."""
    WAITING = "WAITING"
    """Every file is settled and at least one waits for its user's download (``waitingForUser``)."""
    ENDED = "ENDED"
    """Every file is in a final state."""


class SubOrderKind(StrEnum):
    """Who brings the files of a sub-order; the kinds never mix (C10)."""

    STORAGE = "STORAGE"
    """Files that storage holds and has to be asked for."""
    EXTERNAL = "EXTERNAL"
    """Files that are only referenced by URL: available from birth, they take no slot."""
    PROCESSING = "PROCESSING"
    """Files that a process makes of others, which may have to be asked of storage first."""


class OrderStatus(StrEnum):
    """Status of an order (domain.md 2.3), as peers and users see it."""

    PENDING = "PENDING"
    """Accepted; its files are being read from the catalog."""
    RUNNING = "RUNNING"
    """Its sub-orders are on their way."""
    PAUSED = "PAUSED"
    """Nothing more of it starts until it is resumed; what storage was asked for still counts."""
    EXPIRED = "EXPIRED"
    """Its time is over; its files are deleted."""
    FAILED = "FAILED"
    """No file could be had, or the completion failed."""
    DONE_WITH_WARNING = "DONE_WITH_WARNING"
    """Some files, or all there were left, could be had; others not."""
    DONE = "DONE"
    """Every file could be had; they may still wait for the user."""
    DELETED = "DELETED"
    """Its files are deleted; an administrator may remove the rest."""
    ERROR = "ERROR"
    """Something unforeseen stopped it; it can be deleted. Peers know the status, nothing here leads to it."""

    @property
    def final(self) -> bool:
        """Peers were told the end (``DONE`` or ``FAILED`` on the wire)."""
        return self in (OrderStatus.DONE, OrderStatus.DONE_WITH_WARNING, OrderStatus.FAILED)

    @property
    def can_be_paused(self) -> bool:
        return self in (OrderStatus.PENDING, OrderStatus.RUNNING)

    @property
    def can_be_deleted(self) -> bool:
        """At rest; ERROR too, so that no status is without a way out (decisions.md, ERROR orders)."""
        return self.final or self in (OrderStatus.PAUSED, OrderStatus.EXPIRED, OrderStatus.ERROR)

    @property
    def can_be_retried(self) -> bool:
        return self in (OrderStatus.DONE_WITH_WARNING, OrderStatus.FAILED)

    @property
    def gone(self) -> bool:
        """Its files are deleted; nothing that arrives can change it."""
        return self in (OrderStatus.EXPIRED, OrderStatus.DELETED)
