"""The outside world as the features see it: protocols, and the values they take and return.

A protocol stands here only if it has a second implementation or a fake.

Remote services fail in three ways:

RemoteError
├── RemoteRejection    the service rejected the call; the answer is final
└── RemoteUnavailable  the service is unavailable; the call can be repeated
    └── BadResponse    the service gave a bad response
"""

import re
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Protocol
from uuid import UUID

from rs_order.contracts.administration import HealthStatus
from rs_order.domain.dead_letters import StoredDeadLetter
from rs_order.domain.files import Product
from rs_order.domain.identity import Caller
from rs_order.domain.ids import Checksum, DataFileId, OrderId, Tenant, Urn
from rs_order.domain.parts import Part
from rs_order.domain.process import Process
from rs_order.domain.selection import SelectionRequest, Summary
from rs_order.domain.states import FileState, OrderStatus


class RemoteError(Exception):
    """A call of a remote service failed."""

    code = "remote-error"

    def __init__(self, service: str, detail: str) -> None:
        super().__init__(f"{service}: {detail}")
        self.service = service
        self.detail = detail


class RemoteRejection(RemoteError):
    """The service understood the call and rejected it (4xx)."""

    code = "remote-refusal"

    def __init__(self, service: str, status: int, detail: str) -> None:
        super().__init__(service, detail)
        self.status = status


class RemoteUnavailable(RemoteError):
    """The service is down, too slow, or failed (5xx). A later call may succeed."""

    code = "remote-trouble"

    def __init__(self, service: str, detail: str, status: int | None = None) -> None:
        """``status``: the HTTP status of the response, or None if there was no response."""
        super().__init__(service, detail)
        self.status = status

    @property
    def answered(self) -> bool:
        """True if the service sent a response."""
        return self.status is not None


class BadResponse(RemoteUnavailable):
    """The service answered 200 with something its contract doesn't allow."""

    code = "remote-nonsense"

    @property
    def answered(self) -> bool:
        return True


class Clock(Protocol):
    """The time of the service; tests set it."""

    def now(self) -> datetime:
        """Return the present instant, in UTC."""
        ...


class ServedTenants(Protocol):
    """The tenants that are served, as last read from the store."""

    def serves(self, tenant: str) -> bool:
        """True if the tenant is active."""
        ...

    def is_inactive(self, tenant: str) -> bool:
        """True if the tenant was served once and is inactive now."""
        ...

    def names(self) -> Sequence[Tenant]:
        """Return the active tenants."""
        ...

    async def load(self) -> None:
        """Read the tenants again."""
        ...


PRODUCTS_AT_A_TIME: Final = 20
"""Products of a page that are read before other tasks run; some 2 ms if they have ten files each."""


@dataclass(frozen=True, slots=True)
class FoundPage:
    """A page of a search."""

    products: Sequence[Product]
    """They may be made anew each time that they are read, to save memory: read them in slices."""
    total: int | None
    """The products of all pages, as the catalog counts them now; None: it doesn't."""


class Catalog(Protocol):
    """rs-catalog (remote-services.md 2). All calls raise RemoteRejection or RemoteUnavailable."""

    async def summarize(self, caller: Caller, requests: Sequence[SelectionRequest]) -> Summary:
        """Count the products and files that the requests find together, per dataset.

        Each is counted once, however many requests find it. All orderable types are counted.
        """
        ...

    async def search(
        self,
        caller: Caller,
        requests: Sequence[SelectionRequest],
        *,
        page: int,
        size: int,
        every_type: bool = False,
    ) -> FoundPage:
        """Return one page of the products found, in a stable order; empty past the end.

        Args:
            caller: the search finds only what they may see.
            requests: their results are joined.
            page: counted from 0.
            size: products in a page.
            every_type: include files of types that can't be ordered but may be inputs of a process.
        """
        ...

    async def dataset_label(self, caller: Caller, urn: Urn) -> str | None:
        """Return the label of a dataset, or None if the catalog has none."""
        ...


@dataclass(frozen=True, slots=True)
class User:
    """A user of a project, as known to rs-admin."""

    email: str
    role: str


class Users(Protocol):
    """The users of rs-admin (remote-services.md 5).

    Answers are cached per tenant and e-mail: 5 minutes for a user that exists, 30 seconds otherwise.
    """

    async def find(self, tenant: Tenant, email: str) -> User | None:
        """Return the user, or None if there is no such user.

        Raises:
            RemoteUnavailable: rs-admin gave no answer. Errors are never cached.
        """
        ...

    async def is_admin(self, tenant: Tenant, email: str) -> bool:
        """True if the user is an administrator of the project."""
        ...


class Projects(Protocol):
    """The projects of rs-admin-instance (remote-services.md 6.1)."""

    async def host(self, tenant: Tenant) -> str | None:
        """Return the public address of the project (``https://…``), or None if there is none.

        The answer is cached for 5 minutes per tenant.

        Raises:
            RemoteRejection, RemoteUnavailable: rs-admin-instance gave no usable answer.
        """
        ...


class ConnectionState(StrEnum):
    """The state of a project's connection to this service, as rs-admin-instance shows it."""

    DISABLED = "DISABLED"
    CONNECTING = "CONNECTING"
    ENABLED = "ENABLED"
    """This service serves the project."""
    ERROR = "ERROR"
    """This service can't serve the project; a cause is reported with the state."""


@dataclass(frozen=True, slots=True)
class Resource:
    """An endpoint whose use depends on the caller's role (rest.md 2.3)."""

    verb: str
    template: str
    default_role: str
    """The lowest role that may use it until an administrator decides otherwise."""
    controller: str
    """The name under which the registry of rs-admin groups it."""
    description: str
    of_tenant: bool = True
    """True if it concerns the caller's own tenant, which must then be an active one."""

    @property
    def key(self) -> str:
        """``<template>@<verb>``, as in the strings that the web interface compares."""
        return f"{self.template}@{self.verb}"


class RightsUnknown(Exception):
    """The rights of a project's roles were never received; the text is for the caller."""

    code = "rights-unknown"

    def __init__(self, tenant: Tenant) -> None:
        super().__init__(
            f"What the roles of the project {tenant} may do isn't known yet: rs-admin gives no answer. "
            "Nothing was changed. Try again."
        )


class RoleAccess(Protocol):
    """The rights of roles, except those that may use every endpoint (rest.md 2.3, rule 5)."""

    async def prepare(self, tenant: Tenant) -> None:
        """Wait a few seconds for rights that are being requested now; never raise."""
        ...

    def allows(self, tenant: Tenant, role: str, resource: Resource) -> bool:
        """True if the role was given the resource.

        Raises:
            RightsUnknown: the rights of the tenant were never received.
        """
        ...

    def admits(self, tenant: Tenant, role: str, address: str) -> bool:
        """True if the role may be used from an IP address; most roles may be used from any.

        Raises:
            RightsUnknown: the rights of the tenant were never received.
        """
        ...


class UnreadableProcess(BadResponse):
    """The description of a process by rs-processing can't be read, so it can't be ordered."""

    code = "unreadable-process"


@dataclass(frozen=True, slots=True)
class NewBatch:
    """A batch for the executions of one sub-order, as rs-processing has to create it."""

    correlation_id: str
    process_id: UUID
    parameters: Mapping[str, str]
    dataset: Urn
    total_bytes: int
    """The size of all inputs together."""


class Processes(Protocol):
    """rs-processing (remote-services.md 4). All calls raise RemoteRejection and RemoteUnavailable."""

    async def find(self, caller: Caller, process_id: UUID) -> Process | None:
        """Return the process, or None if rs-processing has none with this id.

        Raises:
            UnreadableProcess: its description can't be read.
        """
        ...

    async def create_batch(self, caller: Caller, batch: NewBatch) -> UUID:
        """Create a batch and return its id, which requests for executions name.

        A repeated call with the same correlation id creates another batch. A batch without executions is
        harmless.
        """
        ...


@dataclass(frozen=True, slots=True)
class OrderToDownload:
    """An order, as far as its download depends on it."""

    id: OrderId
    owner: str
    role: str
    """Role of the owner in the project at the time of the order."""
    status: OrderStatus
    expires_at: datetime | None
    """None while its files are still being read from the catalog."""
    has_files: bool
    """True if it has a file, in any state."""
    has_available_files: bool


@dataclass(frozen=True, slots=True)
class ContentHashes:
    """The hashes of all bytes of a file, as a download delivered them."""

    crc32: int
    sha256: bytes
    """32 bytes."""


@dataclass(frozen=True, slots=True)
class FileToDownload:
    """A file of an order, with everything that fetching and checking it takes."""

    id: DataFileId
    product: Urn
    name: str
    url: str
    external: bool
    size: int | None
    """Bytes, or None if the catalog doesn't give a size."""
    checksum: Checksum | None
    checksum_algorithm: str | None
    mime_type: str | None = None
    product_id: str | None = None
    """The provider's name of the product."""
    hashes: ContentHashes | None = None
    """Of the last complete download; None: there was none yet."""
    verified_at: datetime | None = None
    """When a download last proved that these bytes have the checksum of the catalog; None: never."""
    assembled_crc32: int | None = None
    """The CRC-32 of what an archive sent of it, if that was read in parts, and never as a whole."""

    @property
    def crc32(self) -> int | None:
        """The CRC-32 of all its bytes, if it is known."""
        return self.hashes.crc32 if self.hashes else self.assembled_crc32

    @property
    def is_assembled(self) -> bool:
        """True if an archive sent it from parts that no complete download has confirmed since."""
        assembled = self.assembled_crc32
        return assembled is not None and not (self.hashes and self.hashes.crc32 == assembled)

    @property
    def is_disproved(self) -> bool:
        """True if a complete download had other bytes than an archive sent from parts."""
        return self.is_assembled and self.hashes is not None

    @property
    def proven_sha256(self) -> bytes | None:
        """The SHA-256 of the file, if its bytes were proven; without proof they may change."""
        return self.hashes.sha256 if self.hashes and self.verified_at else None

    @property
    def stored_by_dam(self) -> bool:
        """True if rs-dam stores it with its dataset; only the URL shows that."""
        return self.url.endswith("/dam")


@dataclass(frozen=True, slots=True)
class FileOfOrder:
    """A file with the facts that decide who may download it, and when."""

    file: FileToDownload
    order_id: OrderId
    owner: str
    state: FileState


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file in a list of its order."""

    file: FileToDownload
    state: FileState
    reason_code: str | None = None
    """Why it is in this state, if there is more to know."""
    reason: str | None = None


class FetchResult(StrEnum):
    """The result of the download of one file."""

    DOWNLOADED = "DOWNLOADED"
    """All bytes were sent, with the size of the catalog, and with its checksum if that can be checked."""
    FAILED = "FAILED"
    """Nothing, or only a part, was sent."""
    WRONG_CONTENT = "WRONG_CONTENT"
    """The bytes aren't those of the catalog. Failed too, and recorded in the history of the order."""
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    """Storage answered 429. The file stays AVAILABLE, and its sub-order frees its slot."""


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """The outcome of one file of a download."""

    id: DataFileId
    result: FetchResult
    reason: str | None = None
    """The cause of a failure, for the user; None if the file was downloaded."""
    unverifiable: bool = False
    """Downloaded, but its checksum wasn't checked: it is of a kind that can't be, or the file was read in
    parts. The history of the order says so."""
    hashes: ContentHashes | None = None
    """Of the bytes that were downloaded; None if there are none of this file, or they are a copy's."""


class Downloads(Protocol):
    """The queries of downloads."""

    async def order(self, tenant: Tenant, order_id: OrderId) -> OrderToDownload | None:
        """Return an order, or None if it doesn't exist."""
        ...

    async def file(self, tenant: Tenant, file_id: DataFileId) -> FileOfOrder | None:
        """Return a file, or None if it doesn't exist or its order was deleted or expired."""
        ...

    async def all_files(
        self, tenant: Tenant, order_id: OrderId, *, after: DataFileId, limit: int
    ) -> Sequence[ListedFile]:
        """Return up to ``limit`` files with ids above ``after``, by ascending id, in any state."""
        ...

    async def repeated_names(self, tenant: Tenant, order_id: OrderId) -> frozenset[str]:
        """Return the file names that more than one AVAILABLE file of the order has."""
        ...

    async def available_files(
        self, tenant: Tenant, order_id: OrderId, *, after: DataFileId, limit: int
    ) -> Sequence[FileToDownload]:
        """Return up to ``limit`` AVAILABLE files with ids above ``after``, by ascending id."""
        ...

    async def add_sent(self, tenant: Tenant, file_id: DataFileId, part: Part) -> bool:
        """Record that a part of a file was sent; return True once all of it was, in whatever parts.

        A file that doesn't exist any more is ignored.
        """
        ...


@dataclass(frozen=True, slots=True)
class SourceAnswer:
    """The response of rs-storage or rs-dam when it didn't deliver a file; may be passed on."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    """The first bytes, up to a limit."""


_GONE: Final = frozenset({404, 410})


class FetchError(Exception):
    """A file could not be fetched.

    ``reason`` is the text for NOTICE.txt (rest.md 10.3), ``status`` the status of the source or None if it
    sent no response, ``answer`` its response or None if it must not be passed on.
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
        """True if the source answered 429."""
        return self.status == 429  # noqa: PLR2004 - the HTTP status "Too Many Requests"

    @property
    def is_gone(self) -> bool:
        """True if the source doesn't have the file any more, so that asking again doesn't help."""
        return self.status in _GONE

    @property
    def result(self) -> FetchResult:
        return FetchResult.QUOTA_EXCEEDED if self.quota_exceeded else FetchResult.FAILED


class TooShort(FetchError):
    """The source delivered all that it has, and that is less than the size of the catalog."""

    code = "too-short"


class PartsDiffer(FetchError):
    """The parts of a file that were read at different times don't make it up. It can be read as a whole."""

    code = "parts-differ"


class PartsDisproved(FetchError):
    """An archive sent a file from parts, and a complete download of it had other bytes."""

    code = "parts-disproved"


class WrongContent(FetchError):
    """The bytes received don't match the checksum of the catalog, or are more than its size."""

    code = "wrong-content"

    @property
    def result(self) -> FetchResult:
        return FetchResult.WRONG_CONTENT


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file that its source has begun to deliver."""

    chunks: AsyncIterator[bytes]
    """The content in chunks of at most 384 KiB, read from the source as they are consumed."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Response headers of the source that describe the file, not the connection."""
    start: int = 0
    """The byte of the file that the chunks begin with."""

    @property
    def announced_size(self) -> int | None:
        """The bytes that the source announces, or None if it announces no size."""
        length = self.headers.get("Content-Length", "")
        return int(length) if length.isascii() and length.isdecimal() else None


class FileSources(Protocol):
    """The sources of files: rs-storage, rs-dam, or any URL (remote-services.md 2.9, 3.4, 3.5)."""

    def open(
        self, tenant: Tenant, email: str, file: FileToDownload, *, start: int = 0
    ) -> AbstractAsyncContextManager[OpenFile]:
        """Open a file in the name of a user.

        Args:
            tenant: the project of the file.
            email: the user.
            file: the file.
            start: the byte to begin with, if the source can do that; else it begins with the first.

        Raises:
            FetchError: on entering, or while reading when the transfer breaks.
        """
        ...

    def takes_ranges(self, file: FileToDownload) -> bool:
        """Return whether the source of a file has lately begun with another byte than the first."""
        ...


@dataclass(frozen=True, slots=True)
class TokenHolder:
    """The order that a token opens, and its owner, in whose name it is used (W24)."""

    order_id: OrderId
    owner: str
    role: str
    """Role of the owner in the project at the time of the order."""
    expires_at: datetime
    """The expiry of the order, and of the token."""


@dataclass(frozen=True, slots=True)
class OrderToken:
    """The content of a verified token."""

    order_id: OrderId
    subject: str | None
    """E-mail of the owner; None in tokens of mails that the Java service sent."""


class InvalidOrderToken(Exception):
    """The token is forged, expired, of another tenant, or no order token; the text doesn't quote it."""

    code = "invalid-order-token"


class OrderTokensUnset(Exception):
    """The key of order tokens is not set; the text names the setting."""

    code = "order-tokens-unset"


class OrderTokens(Protocol):
    """Issues and verifies order tokens."""

    def issue(self, tenant: Tenant, holder: TokenHolder) -> str:
        """Return a token that opens the order to its bearer.

        Raises:
            OrderTokensUnset: no key is set.
        """
        ...

    def verify(self, tenant: Tenant, token: str) -> OrderToken:
        """Return the content of a token that came with a request to this tenant.

        Raises:
            InvalidOrderToken: it must not be trusted.
            OrderTokensUnset: no key is set.
        """
        ...


_ADDRESS = re.compile(
    r"[^\s\x00-\x1f\x7f-\x9f,;:<>()\[\]\"\\@]+@[^\s\x00-\x1f\x7f-\x9f,;:<>()\[\]\"\\@]+"
)
"""One address. Anything that a mail server could read as a second address or a new line is excluded."""


class UnusableAddress(Exception):
    """The name of an owner is not an e-mail address."""

    code = "unusable-address"


class MailCode(StrEnum):
    """The kinds of mails; the names are those of the reference's templates (domain.md 16.2)."""

    ORDER_CREATED = "ORDER_CREATED_TEMPLATE"
    ASIDE_ORDERS = "ASIDE_ORDERS_NOTIFICATION_TEMPLATE"
    WEBHOOK_DISABLED = "WEBHOOK_DISABLED_TEMPLATE"
    """The reference has none."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail to one user. Neither address nor subject can inject a header.

    Raises:
        UnusableAddress: ``to`` isn't one address.
    """

    key: str
    """Identifies the mail; a repeated sending has the same key."""
    to: str
    subject: str
    html: str

    def __post_init__(self) -> None:
        if not _ADDRESS.fullmatch(self.to):
            raise UnusableAddress(f"{self.to!r} is not an e-mail address")
        one_line = "".join(mark if mark.isprintable() else " " for mark in self.subject)
        object.__setattr__(self, "subject", " ".join(one_line.split()))


class Mailer(Protocol):
    """Sends mails."""

    async def send(self, tenant: Tenant, mail: Mail) -> None:
        """Return once the mail service has accepted the mail.

        Raises:
            RemoteRejection: the mail service will never accept it.
            RemoteUnavailable: the mail service did not accept it now.
        """
        ...


@dataclass(frozen=True, slots=True)
class TemplateFault:
    """A tenant's template that can't be used."""

    template: str
    """Name of its file."""
    problem: str
    """The fault and its position; names the variable."""


@dataclass(frozen=True, slots=True)
class RenderedMail:
    """The subject and text of a mail."""

    subject: str
    html: str
    faults: tuple[TemplateFault, ...] = ()
    """Templates of the tenant that the packaged ones replace because of a fault."""


@dataclass(frozen=True, slots=True)
class ComponentHealth:
    """The health of one component: database, broker, consumers, relay."""

    status: HealthStatus
    details: Mapping[str, Any] = field(default_factory=dict)
    """Facts for operators. Everybody can read them: no secret, no address with credentials."""


class Authentication(Protocol):
    """The platform's check of names and passwords."""

    async def sign_in(self, project: Tenant, name: str, password: str) -> str | None:
        """Return a token of the user, or None if the platform knows no such user, password and project.

        Raises:
            RemoteUnavailable: the platform gives no answer.
            BadResponse: its answer has no token.
        """
        ...


class Health(Protocol):
    """The health of the service."""

    async def check(self) -> Mapping[str, ComponentHealth]:
        """Return the components by name, within seconds even if one of them doesn't respond."""
        ...


@dataclass(frozen=True, slots=True)
class IndexedQueue:
    """The dead letters of one origin that the index has in a queue."""

    queue: str
    origin: str | None
    letters: int
    to_remove: int
    """The dead letters that were replayed or discarded, and are still in the queue."""


@dataclass(frozen=True, slots=True)
class IndexedRow:
    """A dead letter that the index has in a queue."""

    id: str
    identity: str
    to_remove: bool


class LetterIndex(Protocol):
    """The index of the dead letters, as the watcher of their queues keeps it. Each method is one commit.

    A method may raise anything if the index can't be reached; the watcher then tries again later.
    """

    async def add(self, letters: Sequence[StoredDeadLetter]) -> frozenset[str]:
        """Index dead letters. Return the ids of those that were replayed or discarded before."""
        ...

    async def queues(self, vhost: str) -> Sequence[IndexedQueue]:
        """Return the dead letters of a virtual host, by queue and origin."""
        ...

    async def in_queue(self, vhost: str, queue: str) -> Sequence[IndexedRow]:
        """Return the dead letters that the index has in a queue."""
        ...

    async def left_queue(self, ids: Sequence[str]) -> None:
        """Note that dead letters are not in their queue any more."""
        ...

    async def save_missing(self, vhost: str, queues: Collection[str]) -> None:
        """Note which queues of origin don't exist now."""
        ...

    async def purge(self) -> None:
        """Delete some of the dead letters that ended long ago."""
        ...


class MessageKind(StrEnum):
    """The kinds of outgoing messages; the broker package maps each to its address."""

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
    """A failed order request that may succeed later: a dead letter that an operator can replay.

    Body: ``{"request": …, "reason": …, "detail": …}``; only the request is published.
    """
    REPLAY = "REPLAY"
    """The message of a dead letter, for the queue that it came from.

    Body: ``{"vhost", "queue", "headers", "properties", "body"}``, with JSON values and base64.
    """
    NOTIFIER_COPY = "NOTIFIER_COPY"
    """NotificationRequestEvent: a copy of another message for rs-notifier (amqp.md 3.4)."""
    ORDER_EVENT = "ORDER_EVENT"
    """A CloudEvent about an order, for whoever binds a queue to the exchange of events (faces.md E-24)."""
    STEP = "STEP"
    """A step of the service's own work, for an internal queue."""


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
    traceparent: str | None = None
    """The trace that it belongs to, or None if traces are off."""
    was_rejected: bool = False
    """True if the broker rejected it before. The rest of its stream isn't claimed until it has left."""


@dataclass(frozen=True, slots=True)
class Written:
    """The rows that a commit wrote to the outbox."""

    partitions: frozenset[int]
    """The partitions of the rows that are due at once."""
    next_due: datetime | None = None
    """The first due time of the others."""


@dataclass(frozen=True, slots=True)
class OutboxCheck:
    """The rows that wait in the outbox."""

    ready_partitions: Sequence[int]
    """The partitions that have a due row."""
    seconds_to_next: float | None
    """The seconds until the next row is due: 0 if one is, None if there is no row."""


class Claim(Protocol):
    """Rows of one partition that no other relay can take until the claim ends."""

    @property
    def rows(self) -> Sequence[OutboxRow]: ...

    async def remove(self, ids: Sequence[int]) -> None:
        """Delete the rows that the broker confirmed, when the claim ends."""
        ...

    async def postpone(self, ids: Sequence[int]) -> None:
        """Let rows that the broker rejected wait, with their streams, each time twice as long."""
        ...


FIRST_STEP_PARTITION: Final = 16


class OutboxReader(Protocol):
    """The outbox as the relay reads it: that of the store, or one in memory.

    Steps have partitions from `FIRST_STEP_PARTITION` on, messages to peers those below.
    """

    async def check(self) -> OutboxCheck:
        """Return which partitions have due rows, and when the next row is due."""
        ...

    def seconds_until(self, due_at: datetime) -> float:
        """Return the seconds until a due time; 0 if it has passed."""
        ...

    def claim(self, partition: int, limit: int) -> AbstractAsyncContextManager[Claim | None]:
        """Claim the oldest due rows of a partition; None if another relay has claimed it.

        A normal end of the context commits the removals; an exception undoes them.
        """
        ...
