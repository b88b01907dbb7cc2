"""The endpoints of archives: making, listing, and downloading them in parts (faces.md R-8, R-25 to R-30)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import ceil, floor
from typing import Annotated, Final, Literal
from urllib.parse import quote

from fastapi import APIRouter, Path, Request, Response

from rs_order.contracts.archive_bodies import (
    ArchiveDto,
    ArchiveHashesDto,
    ArchiveListDto,
    ArchiveRequestDto,
)
from rs_order.contracts.manifest_bodies import ArchiveManifestDto
from rs_order.domain.archives import (
    Archive,
    ArchiveFormat,
    ArchiveId,
    ArchiveState,
    Selection,
)
from rs_order.domain.identity import Caller
from rs_order.domain.ids import DataFileId, OrderId, SubOrderId, Tenant
from rs_order.domain.parts import Part
from rs_order.downloads.archive_download import ArchiveDeliveries
from rs_order.downloads.archive_manifest import archive_manifest
from rs_order.downloads.archive_plan import CannotBeArchived
from rs_order.downloads.archive_reader import (
    ArchiveGone,
    ArchiveRequest,
    EntryFailed,
    NotIndexed,
)
from rs_order.downloads.make_archives import MakeArchives, NothingAvailable
from rs_order.downloads.range_places import RangeBusy
from rs_order.downloads.readings import SkippingAhead
from rs_order.downloads.routes import OrderTokenInQuery, counted_user
from rs_order.downloads.streaming import SourceSilent, StreamedDownload, StreamedPart
from rs_order.ports import (
    Clock,
    Downloads,
    FetchResult,
    InvalidOrderToken,
    OrderToDownload,
    OrderToken,
    OrderTokens,
    OrderTokensUnset,
    Resource,
    TokenHolder,
)
from rs_order.rest.access import Access, may_see_orders_of
from rs_order.rest.addresses import base_address, expand
from rs_order.rest.answers import json_answer
from rs_order.rest.conditional import RESPOND_ASYNC, prefers_async
from rs_order.rest.errors import HttpError, Problem
from rs_order.rest.keyed_requests import KeyedAnswers
from rs_order.rest.middleware import facts_of
from rs_order.rest.parameters import OrderIdInPath
from rs_order.rest.problems import ProblemCode, problem_answer
from rs_order.rest.ranges import Representation, requested_part
from rs_order.rest.rate_limits import DownloadsAtOnce
from rs_order.rest.resources import (
    DOWNLOAD_ARCHIVE,
    DOWNLOAD_PUBLIC_ARCHIVE,
    GET_ARCHIVE,
    GET_ARCHIVE_MANIFEST,
    LIST_ARCHIVES,
    MAKE_ARCHIVE,
)
from rs_order.rest.routing import BAD_BODY, AuthorisedCaller, Documented, Endpoints
from rs_order.store.archives import Archives

MOST_LISTED: Final = 100
MAKING_SECONDS: Final = 5
"""The pause before an archive is asked for again that steps make."""
RETRY_SECONDS: Final = 60
"""The pause before a file is asked for again that storage doesn't deliver."""

_ID: Final = re.compile(r"a(\d{1,18})", re.ASCII)

ArchiveIdInPath = Annotated[str, Path(alias="archiveId", max_length=32, examples=["a7"])]
NameInPath = Annotated[
    str, Path(max_length=255, description="Any name.", examples=["order_12.zip"])
]

_STATES: Final[Mapping[ArchiveState, Literal["making", "open", "superseded"]]] = {
    ArchiveState.MAKING: "making",
    ArchiveState.OPEN: "open",
    ArchiveState.SUPERSEDED: "superseded",
}
_PROBLEMS: Final = {
    404: "There is no such archive (`unknown-archive`) or order",
    410: "A file of it turned out to be wrong (`archive-superseded`), or its order has ended (`order-gone`)",
    416: "The range begins behind the end of the archive",
    412: "`If-Match` names another content",
    429: "Your quota at storage is used up, or too many downloads of yours are under way",
    503: "The archive is still being made (`archive-not-ready`), storage doesn't deliver the next file now "
    "(`storage-unreachable`), the directory isn't known yet (`archive-not-indexed`), storage is still "
    "reading up to the part (`skipping-ahead`), or other parts of it are being sent to you (`range-busy`); "
    "see `Retry-After`",
}
_DESCRIBED: Final = {
    403: "The order of another user (`not-owner`), or the role isn't allowed",
    404: "There is no such archive (`unknown-archive`) or order (`unknown-order`)",
}
_BYTES: Final[Documented] = {
    200: {"content": {"application/octet-stream": {}}, "description": "The archive"},
    206: {
        "content": {"application/octet-stream": {}},
        "description": "The part that `Range` names",
    },
    304: {"description": "`If-None-Match` names the content of the archive"},
}

_ADVICE: Final = "Download the archive that was made instead (Link), or make another one."
_LATER: Final = {
    NotIndexed: ProblemCode.ARCHIVE_NOT_INDEXED,
    RangeBusy: ProblemCode.RANGE_BUSY,
    SourceSilent: ProblemCode.STORAGE_UNREACHABLE,
}
"""The codes of what can be asked for again after a minute."""


@dataclass(frozen=True, slots=True)
class ArchiveServices:
    """The services that the endpoints of archives use."""

    orders: Downloads
    archives: Archives
    make: MakeArchives
    deliveries: ArchiveDeliveries
    order_tokens: OrderTokens
    clock: Clock
    at_once: DownloadsAtOnce = field(default_factory=DownloadsAtOnce)
    keyed: KeyedAnswers | None = None
    """Answers requests with an ``Idempotency-Key``; None: they are only described."""


def archives_router(access: Access, services: ArchiveServices) -> APIRouter:
    endpoints = Endpoints(access, tag="downloads", problems=True, keyed=services.keyed)
    _serve_making(endpoints, access, services)
    _serve_descriptions(endpoints, access, services)
    _serve_bytes(endpoints, access, services)
    return endpoints.router


def _serve_making(endpoints: Endpoints, access: Access, services: ArchiveServices) -> None:
    @endpoints.serve(
        MAKE_ARCHIVE,
        success=201,
        model=ArchiveDto,
        responses={
            **BAD_BODY,
            403: "The order of another user (`not-owner`), or the role isn't allowed",
            404: "There is no such order (`unknown-order`)",
            409: "The order has no file to download now (`nothing-available`), or its files can't be in an "
            "archive (`cannot-be-archived`)",
        },
        documented={
            202: {
                "model": ArchiveDto,
                "description": "It is being made, because it has more than 100,000 files, or for "
                "`Prefer: respond-async`. Ask for `Location` after the seconds of `Retry-After`",
            }
        },
        creates=True,
    )
    async def make_archive(
        request: Request,
        caller: AuthorisedCaller,
        order_id: OrderIdInPath,
        wanted: ArchiveRequestDto,
    ) -> Response:
        """Make an archive of the files that are available now. It can be downloaded in parts.

        With `Prefer: respond-async` the response doesn't wait until it is made.
        """
        order = await readable_order(request, access, services, caller, OrderId(order_id))
        if not order.has_available_files:
            text = f"Order {order.id} has no file to download now."
            raise Problem(ProblemCode.NOTHING_AVAILABLE, text)
        kind, selection = ArchiveFormat(wanted.format), _selection(wanted)
        at_once = prefers_async(request)
        try:
            made = (
                await services.make.begin(caller.tenant, order.id, kind, selection)
                if at_once
                else await services.make.make(
                    caller.tenant, order.id, kind, selection, in_steps=True
                )
            )
        except NothingAvailable as error:
            raise Problem(ProblemCode.NOTHING_AVAILABLE, str(error)) from error
        except CannotBeArchived as error:
            raise Problem(ProblemCode.CANNOT_BE_ARCHIVED, str(error)) from error
        archive = await _archive(services, caller, made)
        body = await _described_whole(request, services, caller, order, archive)
        if archive.state is ArchiveState.MAKING:
            answer = json_answer(request, body.to_wire(), 202)
            answer.headers["Location"] = _address(request, GET_ARCHIVE, archive)
            if at_once:
                answer.headers["Preference-Applied"] = RESPOND_ASYNC
            return _not_yet(answer)
        answer = json_answer(request, body.to_wire(), 201)
        answer.headers["Location"] = body.href
        return answer

    @endpoints.serve(
        LIST_ARCHIVES,
        model=ArchiveListDto,
        responses={
            403: "The order of another user (`not-owner`), or the role isn't allowed",
            404: "There is no such order (`unknown-order`)",
        },
    )
    async def list_archives(
        request: Request, caller: AuthorisedCaller, order_id: OrderIdInPath
    ) -> Response:
        """The archives of an order, the newest first."""
        order = await readable_order(request, access, services, caller, OrderId(order_id))
        found = await services.archives.of_order(caller.tenant, order.id, MOST_LISTED)
        body = ArchiveListDto(
            archives=[_described(request, services, caller, order, one) for one in found]
        )
        return json_answer(request, body.to_wire())


def _serve_descriptions(endpoints: Endpoints, access: Access, services: ArchiveServices) -> None:
    @endpoints.serve(GET_ARCHIVE, model=ArchiveDto, responses=_DESCRIBED)
    async def get_archive(
        request: Request,
        caller: AuthorisedCaller,
        order_id: OrderIdInPath,
        archive_id: ArchiveIdInPath,
    ) -> Response:
        """Describe an archive, and say how much of it was sent."""
        order = await readable_order(request, access, services, caller, OrderId(order_id))
        archive = await _archive_of(services, caller, order.id, archive_id)
        body = await _described_whole(request, services, caller, order, archive)
        answer = json_answer(request, body.to_wire())
        return _not_yet(answer) if archive.state is ArchiveState.MAKING else answer

    @endpoints.serve(GET_ARCHIVE_MANIFEST, model=ArchiveManifestDto, responses=_DESCRIBED)
    async def get_archive_manifest(
        request: Request,
        caller: AuthorisedCaller,
        order_id: OrderIdInPath,
        archive_id: ArchiveIdInPath,
    ) -> Response:
        """The files of an archive with what is known of their content, and those that had failed before."""
        await readable_order(request, access, services, caller, OrderId(order_id))
        archive = await _archive_of(services, caller, OrderId(order_id), archive_id)
        _require_made(archive)
        manifest = archive_manifest(services.archives, caller.tenant, archive, services.clock.now())
        name = f"{name_of(archive)}.json"
        return StreamedDownload(manifest, name, "list", media_type="application/json")


def _serve_bytes(endpoints: Endpoints, access: Access, services: ArchiveServices) -> None:
    @endpoints.serve(
        DOWNLOAD_ARCHIVE,
        responses={**_PROBLEMS, 403: "The order of another user, or the role isn't allowed"},
        documented=_BYTES,
    )
    async def download_archive(
        request: Request,
        caller: AuthorisedCaller,
        order_id: OrderIdInPath,
        archive_id: ArchiveIdInPath,
        name: NameInPath,  # noqa: ARG001 - a decoration of the address
    ) -> Response:
        """Return an archive, or a part of it. Its bytes never change."""
        order = await readable_order(request, access, services, caller, OrderId(order_id))
        _refuse_ended(order)
        archive = await _archive_of(services, caller, order.id, archive_id)
        return _bytes(request, services, caller, archive, caller.email)

    @endpoints.serve(
        DOWNLOAD_PUBLIC_ARCHIVE,
        responses={**_PROBLEMS, 401: "The order token isn't valid", 403: "It is of another order"},
        documented=_BYTES,
    )
    async def download_public_archive(
        request: Request,
        caller: AuthorisedCaller,
        archive_id: ArchiveIdInPath,
        name: NameInPath,  # noqa: ARG001 - a decoration of the address
        order_token: OrderTokenInQuery,
    ) -> Response:
        """Return an archive, or a part of it, to the bearer of its order's token."""
        token = verified_token(request, services, caller, order_token)
        _refuse_ended(await services.orders.order(caller.tenant, token.order_id))
        archive = await _archive(services, caller, archive_id)
        if (token.order_id, token.subject) != (archive.order_id, archive.owner):
            raise Problem(ProblemCode.NOT_OWNER, "The order token is of another order.")
        return _bytes(request, services, caller, archive, archive.owner)


def verified_token(
    request: Request, services: ArchiveServices, caller: Caller, order_token: str
) -> OrderToken:
    """Return the content of an order token of the caller's project.

    Raises:
        Problem: it isn't valid; the log has the reason.
    """
    try:
        return services.order_tokens.verify(caller.tenant, order_token)
    except InvalidOrderToken as error:
        facts_of(request.scope)["rejected"] = str(error)
        raise Problem(ProblemCode.INVALID_ORDER_TOKEN, "The order token isn't valid.") from error


async def readable_order(
    request: Request, access: Access, services: ArchiveServices, caller: Caller, order_id: OrderId
) -> OrderToDownload:
    """Return an order whose archives the caller may have.

    Raises:
        Problem: there is no such order, or it is another user's.
    """
    facts_of(request.scope)["order"] = order_id
    order = await services.orders.order(caller.tenant, order_id)
    if order is None:
        raise Problem(ProblemCode.UNKNOWN_ORDER, f"There is no order {order_id}.")
    if not may_see_orders_of(access.roles, caller, order.owner):
        raise Problem(ProblemCode.NOT_OWNER, f"Order {order_id} is another user's.")
    return order


def _refuse_ended(order: OrderToDownload | None) -> None:
    if order is not None and order.status.deleted_or_expired:
        raise Problem(ProblemCode.ORDER_GONE, f"Order {order.id} was deleted or has expired.")


async def _archive(
    services: ArchiveServices, caller: Caller, archive_id: str | ArchiveId
) -> Archive:
    found = _ID.fullmatch(archive_id) if isinstance(archive_id, str) else None
    known = ArchiveId(int(found[1])) if found else archive_id
    archive = None if isinstance(known, str) else await services.archives.find(caller.tenant, known)
    if archive is None:
        raise _unknown(archive_id)
    return archive


async def _archive_of(
    services: ArchiveServices, caller: Caller, order_id: OrderId, archive_id: str
) -> Archive:
    archive = await _archive(services, caller, archive_id)
    if archive.order_id != order_id:
        raise _unknown(archive_id)
    return archive


def _require_made(archive: Archive) -> None:
    if archive.state is ArchiveState.MAKING:
        text = f"Archive a{archive.id} is still being made: it has {archive.files} files so far."
        raise Problem(ProblemCode.ARCHIVE_NOT_READY, text)


def _not_yet(answer: Response) -> Response:
    answer.headers["Retry-After"] = str(MAKING_SECONDS)
    return answer


def _unknown(archive_id: str | ArchiveId) -> Problem:
    return Problem(ProblemCode.UNKNOWN_ARCHIVE, f"There is no archive {archive_id}.")


def _bytes(
    request: Request, services: ArchiveServices, caller: Caller, archive: Archive, email: str
) -> Response:
    _require_made(archive)
    if archive.state is ArchiveState.SUPERSEDED:
        raise _superseded(request, archive)
    what = Representation(archive.length, archive.tag, archive.created_at)
    part = requested_part(request, what)
    wanted = ArchiveRequest(caller.tenant, archive, email, part or Part(0, archive.length))
    return StreamedPart(
        services.deliveries.pieces(wanted),
        what,
        part,
        filename=name_of(archive),
        kind="archive",
        failed=lambda error: failure(request, archive, error),
        on_end=lambda complete: facts_of(request.scope).update(complete=complete),
        permit=services.at_once.one_more(request, counted_user(caller, email)),
    )


def _superseded(request: Request, archive: Archive) -> HttpError:
    """Return the error for an archive that has ended; it names the one that was made instead (R-23)."""
    text = f"A file of archive a{archive.id} turned out to be wrong. {_ADVICE}"
    headers = _link_to(request, archive, archive.successor)
    if "If-Match" in request.headers:
        return HttpError(412, text, headers=headers)
    return Problem(ProblemCode.ARCHIVE_SUPERSEDED, text, headers=headers)


def _link_to(request: Request, archive: Archive, successor: ArchiveId | None) -> Mapping[str, str]:
    """Return the header with the address of a successor, which is like that of the request."""
    if successor is None:
        return {}
    is_public = "orderId" not in request.path_params
    resource = DOWNLOAD_PUBLIC_ARCHIVE if is_public else DOWNLOAD_ARCHIVE
    query = f"?{request.url.query}" if request.url.query else ""
    address = _address(request, resource, replace(archive, id=successor))
    return {"Link": f'<{address}{query}>; rel="successor-version"'}


def failure(request: Request, archive: Archive, error: Exception) -> Response | None:
    """Return the response if the archive fails before any of it was sent; None for a defect."""
    match error:
        case EntryFailed():
            return _entry_failure(request, archive, error)
        case SkippingAhead():
            return _retriable(request, ProblemCode.SKIPPING_AHEAD, str(error), error.seconds)
        case NotIndexed() | RangeBusy() | SourceSilent():
            return _retriable(request, _LATER[type(error)], str(error))
        case ArchiveGone():
            text = "The order was deleted or has expired."
            return problem_answer(request, 410, [text], ProblemCode.ORDER_GONE)
    return None


def _entry_failure(request: Request, archive: Archive, failed: EntryFailed) -> Response:
    error, name = failed.error, failed.file.name
    if error.result is FetchResult.QUOTA_EXCEEDED:
        return problem_answer(request, 429, [error.reason], ProblemCode.QUOTA_USED_UP)
    if failed.ends_archive:
        text = f"{name}: {error.reason}. {_ADVICE}"
        answer = problem_answer(request, 410, [text], ProblemCode.ARCHIVE_SUPERSEDED)
        answer.headers.update(_link_to(request, archive, failed.successor))
        return answer
    if error.is_gone:
        text = f"{name}: storage doesn't have it any more. Retry the order, and then go on."
        return _retriable(request, ProblemCode.STORAGE_UNREACHABLE, text)
    return _retriable(request, ProblemCode.STORAGE_UNREACHABLE, f"{name}: {error.reason}.")


def _retriable(
    request: Request, code: ProblemCode, text: str, seconds: float = RETRY_SECONDS
) -> Response:
    answer = problem_answer(request, 503, [text], code)
    answer.headers["Retry-After"] = str(ceil(seconds))
    return answer


async def _described_whole(
    request: Request,
    services: ArchiveServices,
    caller: Caller,
    order: OrderToDownload,
    archive: Archive,
) -> ArchiveDto:
    known = await services.archives.known_crcs(caller.tenant, archive.id)
    hashes = ArchiveHashesDto(crc32_known=known + (archive.notice_crc is not None))
    return _described(request, services, caller, order, archive, hashes=hashes)


def _described(
    request: Request,
    services: ArchiveServices,
    caller: Caller,
    order: OrderToDownload,
    archive: Archive,
    *,
    hashes: ArchiveHashesDto | None = None,
) -> ArchiveDto:
    made = archive.state is not ArchiveState.MAKING
    return ArchiveDto(
        id=f"a{archive.id}",
        format=archive.format.value,
        state=_STATES[archive.state],
        files=archive.files,
        bytes=archive.bytes,
        length=archive.length if made else None,
        etag=archive.tag if made else None,
        created=archive.created_at,
        expires=order.expires_at,
        of=archive.order_files,
        missing=archive.missing,
        sent=floor(archive.sent / archive.length * 10_000) / 10_000 if made else 0,
        hashes=hashes,
        href=address_of(request, archive),
        public_href=_public_href(request, services, caller, order, archive),
    )


def _selection(wanted: ArchiveRequestDto) -> Selection:
    sub_orders, files = wanted.sub_order_ids, wanted.file_ids
    return Selection(
        None if sub_orders is None else [SubOrderId(one) for one in sub_orders],
        None if files is None else [DataFileId(one) for one in files],
    )


def _public_href(
    request: Request,
    services: ArchiveServices,
    caller: Caller,
    order: OrderToDownload,
    archive: Archive,
) -> str | None:
    """Return the address with an order token; None if none can be issued."""
    if order.expires_at is None:
        return None
    try:
        base, tenant = base_address(request), caller.tenant
        return public_address(base, services, tenant, order, _variables(archive))
    except OrderTokensUnset:
        return None


def public_address(
    base: str,
    services: ArchiveServices,
    tenant: Tenant,
    order: OrderToDownload,
    variables: Mapping[str, object],
) -> str:
    """Return the address of an archive with a token of its order, which has files and so an expiry date.

    Raises:
        OrderTokensUnset: the key of order tokens is not set.
    """
    if order.expires_at is None:
        raise ValueError(f"order {order.id} has no expiry date")
    holder = TokenHolder(order.id, order.owner, order.role, order.expires_at)
    token = services.order_tokens.issue(tenant, holder)
    path = expand(DOWNLOAD_PUBLIC_ARCHIVE.template, variables)
    return f"{base}{path}?{token_parameters(tenant, token)}"


def token_parameters(tenant: Tenant, order_token: str) -> str:
    """Return the query of an address that the token opens."""
    return f"orderToken={quote(order_token, safe='')}&scope={tenant}"


def address_of(request: Request, archive: Archive) -> str:
    """Return the address of the bytes of an archive, for a bearer token."""
    return _address(request, DOWNLOAD_ARCHIVE, archive)


def _address(request: Request, resource: Resource, archive: Archive) -> str:
    return base_address(request) + expand(resource.template, _variables(archive))


def _variables(archive: Archive) -> Mapping[str, object]:
    """Return the variables of its addresses."""
    return {
        "orderId": archive.order_id,
        "archiveId": f"a{archive.id}",
        "name": name_of(archive),
    }


def archive_name(order_id: OrderId, archive_format: ArchiveFormat) -> str:
    return f"order_{order_id}.{archive_format}"


def name_of(archive: Archive) -> str:
    return archive_name(archive.order_id, archive.format)
