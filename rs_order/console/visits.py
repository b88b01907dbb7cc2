"""Registers pages and acts. Who visits is checked as for REST, and every failure becomes a sentence.

A page belongs to the resource of REST whose right it needs, an act to that which it calls (console.md C1).
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final
from urllib.parse import quote, urlencode, urlsplit

import structlog
from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute

from rs_order.console.failures import Failure, ForeignForm, UnservedProject, failure_of
from rs_order.console.sessions import (
    FORM_FIELD,
    Sessions,
    console_root,
    form_proof,
    form_secret,
    is_own_form,
    keep_form_secret,
)
from rs_order.console.templates import Templates
from rs_order.console.texts import Texts
from rs_order.core.reason_texts import language_of
from rs_order.domain.identity import Caller
from rs_order.ports import Clock, Resource
from rs_order.rest.access import (
    Access,
    is_served,
    may_use,
    require_allowed_address,
    require_allowed_rate,
    require_allowed_role,
    require_no_maintenance,
)
from rs_order.rest.arguments import handler_of
from rs_order.rest.middleware import facts_of
from rs_order.rest.resources import (
    GET_MAINTENANCE,
    LIST_DEAD_LETTERS,
    LIST_ORDERS,
    LIST_SETTINGS,
    MAKE_QUOTE,
    READ_AUDIT,
    SEARCH_ORDERS,
    SHOW_QUEUE,
)
from rs_order.rest.routing import MAX_BODY, limited
from rs_order.rest.tokens import InvalidToken

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

SAID_COOKIE: Final = "rs-order-said"
_SAID_SECONDS: Final = 60
_OF_HTMX: Final = "HX-Request"
_OF_STREAM: Final = "text/event-stream"
_RETRY_SECONDS: Final = 5
SECURITY: Final = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'self'; object-src 'none'",
    "Referrer-Policy": "same-origin",
}

log = structlog.stdlib.get_logger("rs_order.console")


@dataclass(frozen=True, slots=True)
class Destination:
    """A page that every page links to, for those who may see it."""

    path: str
    resource: Resource


NAVIGATION: Final = (
    Destination("overview", LIST_DEAD_LETTERS),
    Destination("my-orders", LIST_ORDERS),
    Destination("new-order", MAKE_QUOTE),
    Destination("orders", SEARCH_ORDERS),
    Destination("queue", SHOW_QUEUE),
    Destination("standing", SEARCH_ORDERS),
    Destination("dead-letters", LIST_DEAD_LETTERS),
    Destination("settings", LIST_SETTINGS),
    Destination("projects", GET_MAINTENANCE),
    Destination("audit", READ_AUDIT),
)


class Tone(StrEnum):
    """How a sentence about an act is meant."""

    GOOD = "good"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence about an act, which the next page shows."""

    key: str
    values: Mapping[str, Any]
    tone: Tone


class SignInNeeded(Exception):
    """The visitor has no valid token."""

    code = "sign-in-needed"

    def __init__(self, *, ended: bool) -> None:
        """``ended``: they had one."""
        super().__init__("The session has ended" if ended else "Nobody is signed in")
        self.ended = ended


@dataclass(frozen=True, slots=True)
class Frame:
    """What all pages share."""

    access: Access
    sessions: Sessions
    templates: Templates
    clock: Clock
    last_good: dict[str, datetime] = field(default_factory=dict)
    """When a page of a project was last answered well."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of somebody who is signed in."""

    request: Request
    frame: Frame
    caller: Caller
    token: str
    texts: Texts
    secret: str
    now: datetime
    served: bool
    """True if this deployment serves their project."""

    @property
    def root(self) -> str:
        return console_root(self.request)

    def may(self, resource: Resource) -> bool:
        """True if the visitor may use an endpoint of REST, and so what the console makes of it."""
        usable = self.served or not resource.of_tenant
        return usable and may_use(self.frame.access.roles, self.caller, resource)

    def require(self, resource: Resource) -> None:
        """Check that the visitor may use a further endpoint, beside that of the page.

        Raises:
            HttpError: 403 if they may not.
        """
        require_allowed_role(self.frame.access, self.caller, resource)

    def page(self, template: str, /, status: int = 200, **model: Any) -> Response:
        said = _said_before(self.request)
        here = _here(self.request)
        answer = self.frame.templates.page(
            template,
            status,
            texts=self.texts,
            root=self.root,
            form_proof=form_proof(self.secret, _user(self.caller)),
            now=self.now,
            caller=self.caller,
            may=self.may,
            said=said if said and self.texts.has(said.key) else None,
            nav=[one for one in NAVIGATION if self.may(one.resource)],
            here=here,
            here_url=f"{self.root}/{here}",
            **{"current": "", **model},
        )
        keep_form_secret(self.request, answer, self.secret)
        if said is not None:
            answer.delete_cookie(SAID_COOKIE, path=self.root)
        return answer

    def back(self, path: str, key: str, *, tone: Tone = Tone.GOOD, **values: Any) -> Response:
        """Return the answer to an act: the next page, which says what happened.

        Args:
            path: of that page, below the console.
            key: the text of the sentence.
            tone: how it is meant.
            values: those of the text.
        """
        answer = redirect(f"{self.root}/{path}")
        content = json.dumps({"key": key, "values": values, "tone": tone}).encode()
        answer.set_cookie(
            SAID_COOKIE,
            urlsafe_b64encode(content).decode(),
            max_age=_SAID_SECONDS,
            path=self.root,
            httponly=True,
            secure=self.request.url.scheme == "https",
            samesite="strict",
        )
        return answer


def redirect(address: str) -> Response:
    return Response(status_code=303, headers={**SECURITY, "Location": address})


def _said_before(request: Request) -> Said | None:
    try:
        content = json.loads(urlsafe_b64decode(request.cookies.get(SAID_COOKIE, "")))
        return Said(str(content["key"]), dict(content["values"]), Tone(content["tone"]))
    except (ValueError, Base64Error, KeyError, TypeError):
        return None


def _here(request: Request) -> str:
    """Return the place of a page below the console, with its query."""
    place = quote(request.url.path).partition("/console/")[2]
    return f"{place}?{request.url.query}" if request.url.query else place


def _user(caller: Caller) -> str:
    return f"{caller.tenant}\n{caller.email}"


async def _visit(request: Request) -> Visit:
    visit: Visit = request.state.visit
    return visit


Visiting = Annotated[Visit, Depends(_visit)]
"""The visit of a page, whose visitor may see it."""


class Pages:
    """A router of pages and acts."""

    def __init__(self, frame: Frame) -> None:
        self.router = APIRouter(include_in_schema=False)
        self._frame = frame

    def page(self, path: str, resource: Resource) -> Callable[[Callable[..., Any]], Any]:
        """Decorate the function that answers a page. ``resource``: whoever may use it may see the page."""
        return self._served(path, "GET", resource)

    def act(self, path: str, resource: Resource) -> Callable[[Callable[..., Any]], Any]:
        """Decorate the function that does what a form asks for. ``resource``: that of the same act."""
        return self._served(path, "POST", resource)

    def _served(
        self, path: str, verb: str, resource: Resource
    ) -> Callable[[Callable[..., Any]], Any]:
        route = _route(self._frame, resource)

        def add(handler: Callable[..., Any]) -> Callable[..., Any]:
            self.router.add_api_route(
                f"/console{path}",
                handler,
                methods=[verb],
                response_class=Response,
                route_class_override=route,
                include_in_schema=False,
            )
            return handler

        return add


def _route(frame: Frame, resource: Resource) -> type[APIRoute]:
    class VisitedRoute(APIRoute):
        """Lets only visitors in who may use the resource, and answers failures with pages."""

        def get_route_handler(self) -> Handler:
            handle = handler_of(self, super().get_route_handler())

            async def visited(request: Request) -> Response:
                answer = await _answered(frame, resource, handle, request)
                answer.headers.update(SECURITY)
                return answer

            return visited

    return VisitedRoute


async def _answered(
    frame: Frame, resource: Resource, handle: Handler, request: Request
) -> Response:
    try:
        request = limited(request, MAX_BODY)
        visit = request.state.visit = await _checked(frame, resource, request)
        answer = await handle(request)
    except SignInNeeded as error:
        return _to_sign_in(request, ended=error.ended)
    except Exception as error:
        failure = failure_of(error)
        if failure is None:
            log.exception("page-failed", path=request.url.path)
            failure = Failure.of_defect()
        return failure_page(frame, request, failure)
    frame.last_good[visit.caller.tenant] = visit.now
    return answer


async def _checked(frame: Frame, resource: Resource, request: Request) -> Visit:
    """Return the visit, after the checks that REST makes, and for a form that it is ours."""
    access, caller, token = frame.access, *_signed_in(frame, request)
    facts_of(request.scope).update(tenant=caller.tenant, user=caller.email)
    require_allowed_rate(request, access, caller, resource)
    served = await is_served(access, caller.tenant)
    if resource.of_tenant and not served:
        raise UnservedProject(caller.tenant)
    await require_allowed_address(request, access, caller)
    require_allowed_role(access, caller, resource)
    if request.method == "POST":
        await require_no_maintenance(access, caller, resource, resource.verb)
        proof = (await request.form()).get(FORM_FIELD, "")
        if not isinstance(proof, str) or not is_own_form(request, proof, _user(caller)):
            raise ForeignForm
    texts = Texts(language_of(request.headers.get("Accept-Language", "")))
    secret = form_secret(request)
    return Visit(request, frame, caller, token, texts, secret, frame.clock.now(), served)


def _signed_in(frame: Frame, request: Request) -> tuple[Caller, str]:
    token = frame.sessions.token(request)
    if not token:
        raise SignInNeeded(ended=False)
    try:
        return frame.access.tokens.verify(token), token
    except InvalidToken as error:
        raise SignInNeeded(ended=True) from error


def _to_sign_in(request: Request, *, ended: bool) -> Response:
    """Return the way to the sign-in page, and from there back to where the visitor was."""
    if request.headers.get("Accept") == _OF_STREAM:
        return Response(status_code=204)  # ends it; the page fetches itself then, and is led there
    root = console_root(request)
    query = {"next": _place(request), **({"ended": "1"} if ended else {})}
    address = f"{root}/sign-in?{urlencode(query)}"
    if _OF_HTMX in request.headers:
        return Response(status_code=204, headers={"HX-Redirect": address})
    return redirect(address)


def _place(request: Request) -> str:
    """Return the page where the visitor is, below the console: that which has the form of an act."""
    if request.method == "GET" and _OF_HTMX not in request.headers:
        return _here(request)
    parts = urlsplit(request.headers.get("HX-Current-URL") or request.headers.get("Referer", ""))
    place = parts.path.partition("/console/")[2]
    return f"{place}?{parts.query}" if parts.query else place


def failure_page(frame: Frame, request: Request, failure: Failure) -> Response:
    """Return the page that says what happened, to what, and what to do next."""
    texts = Texts(language_of(request.headers.get("Accept-Language", "")))
    caller = None
    if token := frame.sessions.token(request):
        try:
            caller = frame.access.tokens.verify(token)
        except InvalidToken:
            caller = None
    secret = form_secret(request)
    answer = frame.templates.page(
        "failure.html",
        failure.status,
        texts=texts,
        root=console_root(request),
        form_proof=form_proof(secret, _user(caller)) if caller else None,
        now=frame.clock.now(),
        caller=caller,
        may=lambda _: False,
        said=None,
        nav=(),
        failure=failure,
        last_good=frame.last_good.get(caller.tenant) if caller else None,
    )
    keep_form_secret(request, answer, secret)
    if failure.passes:
        answer.headers["Retry-After"] = str(failure.wait or _RETRY_SECONDS)
        if request.method == "GET":
            answer.headers["Refresh"] = str(failure.wait or _RETRY_SECONDS)
    return answer
