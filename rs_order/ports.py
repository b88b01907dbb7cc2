"""The outside world as the features see it: protocols, and the values they take and return.

A protocol stands here only if it has a second implementation or a fake.

Remote services fail in three ways:

RemoteError
├── RemoteRejection       the service rejected the call; the answer is final
└── RemoteUnavailable       the service is unavailable; the call can be repeated
    └── BadResponse  the service gave a bad response
"""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from rs_order.contracts.administration import HealthStatus
from rs_order.domain.files import Product
from rs_order.domain.identity import Caller
from rs_order.domain.ids import Checksum, DataFileId, OrderId, Tenant, Urn
from rs_order.domain.process import Process
from rs_order.domain.selection import SelectionRequest, Summary
from rs_order.domain.states import FileState, OrderStatus


class RemoteError(Exception):
    """A remote service did not give what was asked of it."""

    code = "remote-error"

    def __init__(self, service: str, detail: str) -> None:
        super().__init__(f"{service}: {detail}")
        self.service = service
        self.detail = detail


class RemoteRejection(RemoteError):
    """The service understood the call and refused it (4xx)."""

    code = "remote-refusal"

    def __init__(self, service: str, status: int, detail: str) -> None:
        super().__init__(service, detail)
        self.status = status


class RemoteUnavailable(RemoteError):
    """The service is down, too slow, or failed (5xx); asking again later may help."""

    code = "remote-trouble"

    def __init__(self, service: str, detail: str, status: int | None = None) -> None:
        """``status``: of the answer in which the service said so; None when no answer came."""
        super().__init__(service, detail)
        self.status = status

    @property
    def answered(self) -> bool:
        return self.status is not None


class BadResponse(RemoteUnavailable):
    """The service answered 200 with something its contract doesn't allow."""

    code = "remote-nonsense"

    @property
    def answered(self) -> bool:
        return True


class ServedTenants(Protocol):
    """The tenants that are served, as last read from the store."""

    def serves(self, tenant: str) -> bool: ...

    def is_inactive(self, tenant: str) -> bool:
        """True if the tenant was served once and is inactive now."""
        ...

    def names(self) -> Sequence[Tenant]:
        """Return the active tenants."""
        ...

    async def load(self) -> None:
        """Read the tenants again."""
        ...


class Clock(Protocol):
    def now(self) -> datetime:
        """The present instant, in UTC."""
        ...


class Schedule(Protocol):
    """Instants by a rule."""

    @property
    def text(self) -> str:
        """The rule as an operator wrote it; another text is another rule."""
        ...

    def after(self, at: datetime) -> datetime:
        """The first instant later than this one."""
        ...


class Catalog(Protocol):
    """rs-catalog (remote-services.md 2). All calls raise RemoteRejection or RemoteUnavailable."""

    async def summarize(self, caller: Caller, requests: Sequence[SelectionRequest]) -> Summary:
        """What the requests find together, counted once, per dataset; all orderable types."""
        ...

    async def search(
        self,
        caller: Caller,
        requests: Sequence[SelectionRequest],
        *,
        page: int,
        size: int,
        every_type: bool = False,
    ) -> tuple[Product, ...]:
        """One page of the products found, in a stable order; empty past the end.

        ``every_type``: with their files of other types too, which a process may take.
        """
        ...

    async def dataset_label(self, caller: Caller, urn: Urn) -> str | None:
        """The label of a dataset, None when the catalog knows none."""
        ...


class DatasetFiles(Protocol):
    """rs-dam: the files attached to a dataset (remote-services.md 2.9)."""

    async def attached_files(self, tenant: Tenant, urn: Urn) -> Product | None:
        """The dataset with its orderable attached files, None when rs-dam doesn't know it."""
        ...


@dataclass(frozen=True, slots=True)
class User:
    """A project user as rs-admin knows him."""

    email: str
    role: str


class Users(Protocol):
    """rs-admin (remote-services.md 5). Verdicts are cached per tenant and e-mail: good 5 min, bad 30 s."""

    async def find(self, tenant: Tenant, email: str) -> User | None:
        """The user, None when rs-admin says there is no such user.

        Raises:
            RemoteUnavailable: rs-admin gave no verdict; that is never cached.
        """
        ...

    async def is_admin(self, tenant: Tenant, email: str) -> bool:
        """Whether rs-admin counts the user as an administrator of the project."""
        ...


class Projects(Protocol):
    """rs-admin-instance (remote-services.md 6.1)."""

    async def host(self, tenant: Tenant) -> str | None:
        """The public address of the project (``https://…``), None when rs-admin-instance has none.

        Kept 5 minutes per tenant. Raises RemoteUnavailable.
        """
        ...


class ConnectionState(StrEnum):
    DISABLED = "DISABLED"
    CONNECTING = "CONNECTING"
    ENABLED = "ENABLED"
    """The project can be used here."""
    ERROR = "ERROR"
    """It can't; a cause is told along."""


class Connections(Protocol):
    """rs-admin-instance. All calls raise RemoteRejection and RemoteUnavailable."""

    async def wanted(self) -> Sequence[Tenant]:
        """The projects that have a connection to this service which isn't disabled."""
        ...

    async def report(
        self, tenant: Tenant, state: ConnectionState, cause: str | None = None
    ) -> None:
        """Say how far the connection of a project has come."""
        ...


class GuardedResource(Protocol):
    """An endpoint as far as its use is a matter of rights."""

    @property
    def key(self) -> str:
        """``<path template>@<VERB>``."""
        ...

    @property
    def default_role(self) -> str:
        """Who may use it until an administrator says otherwise: this role and those above it."""
        ...


class RightsUnknown(Exception):
    """Nobody has said yet what the roles of a project may do; the text is for the caller."""

    code = "rights-unknown"

    def __init__(self, tenant: Tenant) -> None:
        super().__init__(
            f"What the roles of the project {tenant} may do isn't known yet: rs-admin gives no answer. "
            "Nothing was changed. Try again."
        )


class RoleAccess(Protocol):
    """Which roles may use an endpoint, beside those that may use all (rest.md 2.3, rule 5)."""

    async def prepare(self, tenant: Tenant) -> None:
        """Give rights that are being asked for right now a moment to come; never fails."""
        ...

    def allows(self, tenant: Tenant, role: str, resource: GuardedResource) -> bool:
        """Whether the role was given the resource.

        Raises:
            RightsUnknown: see there.
        """
        ...

    def admits(self, tenant: Tenant, role: str, address: str) -> bool:
        """Whether the role may be used from an IP address; most roles may from any.

        Raises:
            RightsUnknown: see there.
        """
        ...


class UnreadableProcess(BadResponse):
    """rs-processing describes a process in a way that nobody can order with."""

    code = "unreadable-process"


@dataclass(frozen=True, slots=True)
class NewBatch:
    """What rs-processing is told before it is asked for the executions of a sub-order."""

    correlation_id: str
    process_id: UUID
    parameters: Mapping[str, str]
    dataset: Urn
    total_bytes: int
    """Of all inputs."""


class Processes(Protocol):
    """rs-processing, as far as it is asked about processes."""

    async def find(self, caller: Caller, process_id: UUID) -> Process | None:
        """The process; None when rs-processing knows none of that id.

        Raises:
            RemoteRejection, RemoteUnavailable: no answer that can be used.
            UnreadableProcess: its description can't be read, so nobody can order with it.
        """
        ...


class ProcessBatches(Protocol):
    """rs-processing, as far as it is asked to work."""

    async def create(self, caller: Caller, batch: NewBatch) -> UUID:
        """The id of a new batch, under which executions can be asked for.

        Asking again for the same correlation id makes another batch; one without executions does no
        harm.

        Raises:
            RemoteRejection, RemoteUnavailable: there is no batch that could be used.
        """
        ...


@dataclass(frozen=True, slots=True)
class OrderToDownload:
    """What decides whether somebody may download an order, and whether there is anything."""

    id: OrderId
    owner: str
    role: str
    """Role of the owner in the project when he ordered."""
    status: OrderStatus
    expires_at: datetime | None
    """None while its files are still being read from the catalog."""
    has_files: bool
    """In whatever state."""
    has_available_files: bool


@dataclass(frozen=True, slots=True)
class FileToDownload:
    """A file of an order, with all that is needed to fetch and check it."""

    id: DataFileId
    product: Urn
    name: str
    url: str
    external: bool
    size: int | None
    """Bytes; None when the catalog doesn't know."""
    checksum: Checksum | None
    checksum_algorithm: str | None
    mime_type: str | None = None

    @property
    def held_by_dam(self) -> bool:
        """Stored by rs-dam beside its dataset; its URL is the only sign of it."""
        return self.url.endswith("/dam")


@dataclass(frozen=True, slots=True)
class FileOfOrder:
    """One file, with what decides whether somebody may download it now."""

    file: FileToDownload
    order_id: OrderId
    owner: str
    state: FileState


class FetchResult(StrEnum):
    """How the download of one file ended."""

    DOWNLOADED = "DOWNLOADED"
    """All bytes went out, with the size and checksum of the catalog."""
    FAILED = "FAILED"
    """Not, or not wholly."""
    WRONG_CONTENT = "WRONG_CONTENT"
    """Other bytes came than the catalog's: failed too, and noted in the history of the order."""
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    """Storage answered 429: the file stays AVAILABLE, the gate no longer counts its sub-order."""


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """What became of one file of a download."""

    id: DataFileId
    result: FetchResult
    reason: str | None = None
    """Why not, for the user; None when it was downloaded."""


class Downloads(Protocol):
    """What a download reads from the store."""

    async def order(self, tenant: Tenant, order_id: OrderId) -> OrderToDownload | None: ...

    async def file(self, tenant: Tenant, file_id: DataFileId) -> FileOfOrder | None:
        """One file; None for that of an order that is gone."""
        ...

    async def all_files(
        self, tenant: Tenant, order_id: OrderId, *, after: DataFileId, limit: int
    ) -> Sequence[FileToDownload]:
        """The next files of the order by ascending id, whatever their state."""
        ...

    async def repeated_names(self, tenant: Tenant, order_id: OrderId) -> frozenset[str]:
        """File names that more than one AVAILABLE file of the order has."""
        ...

    async def available_files(
        self, tenant: Tenant, order_id: OrderId, *, after: DataFileId, limit: int
    ) -> Sequence[FileToDownload]:
        """The next AVAILABLE files by ascending id."""
        ...


@dataclass(frozen=True, slots=True)
class SourceAnswer:
    """What a source of the platform said instead of giving the file; may be passed on."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    """Cut to a bounded length."""


class FetchError(Exception):
    """A file could not be fetched.

    ``reason`` is the text for NOTICE.txt (rest.md 10.3); ``status`` the upstream status, None when
    there was no answer; ``answer`` all of it, None when it is nobody else's business.
    """

    code = "fetch-failed"

    def __init__(
        self, reason: str, status: int | None = None, answer: SourceAnswer | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.answer = answer

    @property
    def quota_exceeded(self) -> bool:
        return self.status == 429  # noqa: PLR2004 - the HTTP status "Too Many Requests"

    @property
    def result(self) -> FetchResult:
        return FetchResult.QUOTA_EXCEEDED if self.quota_exceeded else FetchResult.FAILED


class WrongContent(FetchError):
    """What came isn't the file: other bytes than the checksum says, or more than there are."""

    code = "wrong-content"

    @property
    def result(self) -> FetchResult:
        return FetchResult.WRONG_CONTENT


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file that its source has begun to give."""

    chunks: AsyncIterator[bytes]
    """Of at most 64 KiB, read as they are consumed."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """What the source says of the file, by names as in ``Content-Type``; nothing of the connection."""


class FileSources(Protocol):
    """Where the bytes are: rs-storage, rs-dam, or the file's own URL (remote-services.md 2.9, 3.4, 3.5)."""

    def open(
        self, tenant: Tenant, email: str, file: FileToDownload
    ) -> AbstractAsyncContextManager[OpenFile]:
        """Open a file in the name of a user.

        Raises:
            FetchError: on entering, or while reading when the transfer breaks.
        """
        ...


@dataclass(frozen=True, slots=True)
class TokenHolder:
    """The order a token is made for, and whom it speaks for: its owner (W24)."""

    order_id: OrderId
    owner: str
    role: str
    """Role of the owner in the project when he ordered."""
    expires_at: datetime
    """When the order expires, and the token with it."""


@dataclass(frozen=True, slots=True)
class OrderToken:
    """What a token proves."""

    order_id: OrderId
    subject: str | None
    """E-mail it speaks for; None in tokens of mails that the Java service sent."""


class InvalidOrderToken(Exception):
    """Forged, expired, of another tenant, or no order token at all. Says nothing of the token."""

    code = "invalid-order-token"


class OrderTokensUnset(Exception):
    """There is no key to make or check order tokens with; the text names the setting."""

    code = "order-tokens-unset"


class OrderTokens(Protocol):
    """Makes and checks order tokens."""

    def issue(self, tenant: Tenant, holder: TokenHolder) -> str:
        """A token that opens the order to its bearer.

        Raises:
            OrderTokensUnset: no key is set.
        """
        ...

    def verify(self, tenant: Tenant, token: str) -> OrderToken:
        """Read a token that a request to this tenant came with.

        Raises:
            InvalidOrderToken: it proves nothing.
            OrderTokensUnset: no key is set.
        """
        ...


_ADDRESS = re.compile(
    r"[^\s\x00-\x1f\x7f-\x9f,;:<>()\[\]\"\\@]+@[^\s\x00-\x1f\x7f-\x9f,;:<>()\[\]\"\\@]+"
)
"""One recipient and nothing that a mail server could read as more: no second address, no new line."""


class UnusableAddress(Exception):
    """An owner's name is no address that a mail could be sent to."""

    code = "unusable-address"


class MailCode(StrEnum):
    """What a mail says; the names are those of the reference's templates (domain.md 16.2)."""

    ORDER_CREATED = "ORDER_CREATED_TEMPLATE"
    ASIDE_ORDERS = "ASIDE_ORDERS_NOTIFICATION_TEMPLATE"


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail to one user; neither address nor subject can bring in a header of their own.

    Raises:
        UnusableAddress: ``to`` isn't one address.
    """

    key: str
    """The same when the mail is sent again."""
    to: str
    subject: str
    html: str

    def __post_init__(self) -> None:
        if not _ADDRESS.fullmatch(self.to):
            raise UnusableAddress(f"{self.to!r} is not an e-mail address")
        one_line = "".join(mark if mark.isprintable() else " " for mark in self.subject)
        object.__setattr__(self, "subject", " ".join(one_line.split()))


class Mailer(Protocol):
    """Takes mails away."""

    async def send(self, tenant: Tenant, mail: Mail) -> None:
        """Hand a mail over; it is out when this returns.

        Raises:
            RemoteRejection: it will never be taken.
            RemoteUnavailable: it was not taken now.
        """
        ...


@dataclass(frozen=True, slots=True)
class TemplateFault:
    """A tenant's template that can't be used."""

    template: str
    """Name of its file."""
    problem: str
    """What is wrong with it, and where; names the variable."""


@dataclass(frozen=True, slots=True)
class RenderedMail:
    """What a mail says."""

    subject: str
    html: str
    faults: tuple[TemplateFault, ...] = ()
    """Templates of the tenant in whose place the packaged ones were taken."""


@dataclass(frozen=True, slots=True)
class ComponentHealth:
    """One thing the service needs: database, broker, consumers, relay."""

    status: HealthStatus
    details: Mapping[str, Any] = field(default_factory=dict)
    """Facts for operators, shown to everybody: no secret, no address with credentials."""


class Health(Protocol):
    async def check(self) -> Mapping[str, ComponentHealth]:
        """The components by name. Answers within seconds, also when they don't."""
        ...


class MessageKind(StrEnum):
    """What leaves, and hence where it goes; the AMQP adapter holds the addresses."""

    ORDER_RESPONSE = "ORDER_RESPONSE"
    """OrderResponseDtoEvent (amqp.md 2.6)."""
    RESTORE_REQUEST = "RESTORE_REQUEST"
    """FilesRestorationRequestEvent (amqp.md 3.2)."""
    NOTIFICATION = "NOTIFICATION"
    """NotificationEvent for users of a project (amqp.md 3.4)."""
    INSTANCE_NOTIFICATION = "INSTANCE_NOTIFICATION"
    """NotificationEvent on the instance virtual host."""
    DOWNLOADED_OUTPUTS = "DOWNLOADED_OUTPUTS"
    """DownloadedOutputFilesEvent for rs-processing (amqp.md 3.3)."""
    EXECUTION_REQUEST = "EXECUTION_REQUEST"
    """PExecutionRequestEvent for rs-processing (amqp.md 3.3)."""
    DEAD_REQUEST = "DEAD_REQUEST"
    """An order request that failed for a reason that may go away: a dead letter an operator can replay.

    Body: ``{"request": …, "reason": …, "detail": …}``; what is published is the request.
    """
    NOTIFIER_COPY = "NOTIFIER_COPY"
    """NotificationRequestEvent: a copy of another message for rs-notifier (amqp.md 3.4)."""
    STEP = "STEP"
    """The next piece of our own work, for the internal queue."""


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A message as the relay reads it."""

    id: int
    kind: MessageKind
    tenant: Tenant
    body: bytes
    """JSON text."""
    stream: str | None
    correlation_id: str | None
    message_id: UUID
    created_at: datetime


class Claim(Protocol):
    """Rows of one partition that no other relay can take until the claim ends."""

    @property
    def rows(self) -> Sequence[OutboxRow]: ...

    async def remove(self, ids: Sequence[int]) -> None:
        """Delete the rows that the broker confirmed, when the claim ends."""
        ...


class OutboxReader(Protocol):
    """The outbox as the relay reads it: that of the store, or one in memory."""

    async def ready_partitions(self) -> list[int]:
        """Return the partitions that have a due row."""
        ...

    def claim(self, partition: int, limit: int) -> AbstractAsyncContextManager[Claim | None]:
        """Claim the oldest due rows of a partition; None if another relay has claimed it.

        A normal end of the context commits the removals; an exception undoes them.
        """
        ...

    async def seconds_to_next(self) -> float | None:
        """Return the seconds until the next row is due: 0 if one is, None if there is no row."""
        ...
