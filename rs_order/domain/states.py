"""The statuses of orders and the states of sub-orders and data files; their moves are in ``moves.py``.

The database accepts no other value (``schema/tenant.sql``).
"""

from enum import StrEnum


class FileState(StrEnum):
    """State of a data file (domain.md 2.1)."""

    PENDING = "PENDING"
    """Storage or a process has not settled it yet."""
    AVAILABLE = "AVAILABLE"
    """Ready to download: storage has it available, or it is an external file."""
    DOWNLOADED = "DOWNLOADED"
    """All its bytes went to the user and match the checksum of the catalog."""
    DOWNLOAD_ERROR = "DOWNLOAD_ERROR"
    """A download failed; this is no error of the order (K2)."""
    ERROR = "ERROR"
    """Storage can't deliver it, or gave no answer before the deadline."""
    PROCESSING_ERROR = "PROCESSING_ERROR"
    """Its process failed."""

    @property
    def settled(self) -> bool:
        """True if neither storage nor a process is awaited; counts for the percentage."""
        return self is not FileState.PENDING

    @property
    def failed(self) -> bool:
        """True if it counts as an error of the order."""
        return self in (FileState.ERROR, FileState.PROCESSING_ERROR)


class SubOrderState(StrEnum):
    """State of a sub-order."""

    BUILDING = "BUILDING"
    """The completion of its order, or a retry, still adds files to it."""
    READY = "READY"
    """Complete; waits for a free slot of its owner, or for its order to be resumed."""
    RUNNING = "RUNNING"
    """Storage was asked for its files, or for the inputs of its process, and has not settled all of them."""
    PROCESSING = "PROCESSING"
    """Its inputs are settled; rs-processing makes its files, or gets the request for them next."""
    WAITING = "WAITING"
    """Every file is settled and at least one waits for the owner's download (``waitingForUser``)."""
    ENDED = "ENDED"
    """Every file is in a final state."""


class SubOrderKind(StrEnum):
    """The source of a sub-order's files; the kinds never mix (C10)."""

    STORAGE = "STORAGE"
    """Files that storage holds and is asked for."""
    EXTERNAL = "EXTERNAL"
    """Files known by URL only: available at once, without a slot."""
    PROCESSING = "PROCESSING"
    """Files that a process makes; storage may be asked for its inputs first."""


class OrderStatus(StrEnum):
    """Status of an order (domain.md 2.3), as peers and users see it."""

    PENDING = "PENDING"
    """Accepted; its files are being read from the catalog."""
    RUNNING = "RUNNING"
    """Its sub-orders are restored, processed or downloaded."""
    PAUSED = "PAUSED"
    """Nothing more of it starts until it is resumed; answers to earlier requests still count."""
    EXPIRED = "EXPIRED"
    """Past its expiry date; its files are deleted."""
    FAILED = "FAILED"
    """No file is available, or the completion failed."""
    DONE_WITH_WARNING = "DONE_WITH_WARNING"
    """Some files are available, others are not."""
    DONE = "DONE"
    """Every file is or was available; downloads may be outstanding."""
    DELETED = "DELETED"
    """Its files are deleted; an administrator may remove the rest."""
    ERROR = "ERROR"
    """Stopped by an unforeseen error; can be deleted. A status of the contract that is never set here."""

    @property
    def final(self) -> bool:
        """True if the end was announced (``DONE`` or ``FAILED`` on the wire)."""
        return self in (OrderStatus.DONE, OrderStatus.DONE_WITH_WARNING, OrderStatus.FAILED)

    @property
    def can_be_paused(self) -> bool:
        return self in (OrderStatus.PENDING, OrderStatus.RUNNING)

    @property
    def can_be_deleted(self) -> bool:
        """True if nothing of it is in progress; also for ERROR (decisions.md, ERROR orders)."""
        return self.final or self in (OrderStatus.PAUSED, OrderStatus.EXPIRED, OrderStatus.ERROR)

    @property
    def can_be_retried(self) -> bool:
        return self in (OrderStatus.DONE_WITH_WARNING, OrderStatus.FAILED)

    @property
    def deleted_or_expired(self) -> bool:
        """True if its files are deleted; no event changes it any more."""
        return self in (OrderStatus.EXPIRED, OrderStatus.DELETED)
