"""Serves the audit to operators: INSTANCE_ADMIN sees every project, others their own."""

from dataclasses import replace
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.responses import StreamingResponse

from rs_order.audit.representation import audit_entry, csv_parts
from rs_order.contracts.administration import AuditPage
from rs_order.contracts.platform_names import INSTANCE_ADMIN
from rs_order.contracts.wire import INT64, Instant, Text
from rs_order.domain.identity import Caller
from rs_order.rest.access import Access, require_own_tenant
from rs_order.rest.addresses import own_address
from rs_order.rest.answers import json_answer
from rs_order.rest.resources import EXPORT_AUDIT, READ_AUDIT
from rs_order.rest.routing import STORE_UNAVAILABLE, AuthorisedCaller, Endpoints
from rs_order.store.audit import Audit, AuditSearch

PAGE_SIZE: Final = 100
LARGEST_PAGE: Final = 1000
_RESPONSES: Final = {400: "A parameter can't be read", **STORE_UNAVAILABLE}


async def _search(
    *,
    tenant: Annotated[Text | None, Query(description="A project.")] = None,
    actor: Annotated[Text | None, Query(description="A part of the actor's name.")] = None,
    action: Annotated[
        Text | None, Query(description="An action, or its part before the dot.")
    ] = None,
    object_kind: Annotated[Text | None, Query(alias="objectKind")] = None,
    object_id: Annotated[Text | None, Query(alias="objectId")] = None,
    since: Annotated[Instant | None, Query(alias="from", description="Inclusive.")] = None,
    until: Annotated[Instant | None, Query(alias="to", description="Exclusive.")] = None,
) -> AuditSearch:
    return AuditSearch(
        tenant=tenant,
        actor=actor,
        action=action,
        object_kind=object_kind,
        object_id=object_id,
        since=since,
        until=until,
    )


Search = Annotated[AuditSearch, Depends(_search)]


def audit_router(access: Access, audit: Audit) -> APIRouter:
    """Return the endpoints that read the audit."""
    endpoints = Endpoints(access, tag="audit")

    @endpoints.serve(READ_AUDIT, model=AuditPage, responses=_RESPONSES)
    async def read_audit(
        request: Request,
        caller: AuthorisedCaller,
        search: Search,
        size: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = PAGE_SIZE,
        after: Annotated[
            int | None,
            Query(ge=0, le=INT64, description="Id of the last entry of the page before."),
        ] = None,
    ) -> Response:
        """Return a page of entries, newest first. The link `next` leads to older ones."""
        found = await audit.page(_allowed(caller, search), limit=size, after=after)
        address = own_address(request).remove_query_params("token")
        links = [{"rel": "self", "href": str(address)}]
        if len(found) == size:
            following = address.include_query_params(after=found[-1].id)
            links.append({"rel": "next", "href": str(following)})
        content = [audit_entry(entry).to_wire() for entry in found]
        return json_answer(request, {"content": content, "links": links})

    @endpoints.serve(
        EXPORT_AUDIT,
        responses=_RESPONSES,
        documented={200: {"content": {"text/csv": {}}, "description": "One line per entry"}},
    )
    async def export_audit(caller: AuthorisedCaller, search: Search) -> Response:
        """Return all entries that are found, newest first, as they are read."""
        return StreamingResponse(
            csv_parts(audit.export(_allowed(caller, search))),
            media_type="text/csv",
            headers={"Content-Disposition": "attachment;filename=audit.csv"},
        )

    return endpoints.router


def _allowed(caller: Caller, search: AuditSearch) -> AuditSearch:
    """Return the search without the entries that the caller may not see.

    Raises:
        HttpError: 403 if the caller asks for the entries of another project.
    """
    if search.tenant is not None:
        require_own_tenant(caller, search.tenant)
        return search
    return search if caller.role == INSTANCE_ADMIN else replace(search, tenant=caller.tenant)
