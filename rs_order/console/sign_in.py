"""The pages that begin and end a session (console.md 2)."""

import math
import re
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Form, Query, Request, Response
from pydantic import BaseModel, Field

from rs_order.console.failures import Failure, ForeignForm, failure_of
from rs_order.console.sessions import (
    SESSION_COOKIE,
    console_root,
    form_proof,
    form_secret,
    is_own_form,
    keep_form_secret,
)
from rs_order.console.texts import Texts
from rs_order.console.visits import SECURITY, Frame, failure_page, redirect
from rs_order.contracts.platform_names import PUBLIC
from rs_order.core.reason_texts import language_of
from rs_order.domain.identity import INSTANCE, Caller
from rs_order.domain.ids import Tenant
from rs_order.ports import Authentication, RemoteUnavailable, Resource
from rs_order.rest.errors import HttpError
from rs_order.rest.tokens import InvalidToken
from rs_order.store.errors import StoreUnavailable
from rs_order.store.wrong_passwords import WrongPasswords

_NOBODY: Final = "sign-in"
"""Whose form the sign-in page has."""
_SIGN_IN: Final = Resource("POST", "/console/sign-in", PUBLIC, "Console", "Sign in")
_VISITOR: Final = Caller(INSTANCE, "", PUBLIC)
"""Somebody without a token, who is counted by their address."""
_LONGEST: Final = 255
_PLACE: Final = re.compile(r"[A-Za-z0-9_%./~-]*(\?[^\s\\]*)?")


@dataclass(frozen=True, slots=True)
class SignInServices:
    frame: Frame
    authentication: Authentication | None
    """None: nobody can sign in with a password."""
    wrong: WrongPasswords


class SignInForm(BaseModel):
    """What the visitor sent."""

    project: str = Field(max_length=_LONGEST)
    name: str = Field(max_length=_LONGEST)
    password: str = Field(max_length=_LONGEST, repr=False)
    csrf: str = ""
    next: str = ""


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What the sign-in form holds, and why it is shown again."""

    place: str
    ended: bool = False
    project: str = ""
    name: str = ""
    problem: str | None = None
    wait: int = 0

    @classmethod
    def of(cls, form: SignInForm, problem: str | None, wait: float = 0) -> "_Attempt":
        project, name = form.project.strip(), form.name.strip()
        return cls(form.next, False, project, name, problem, math.ceil(wait))


def sign_in_router(services: SignInServices) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    frame = services.frame

    @router.get("/console/sign-in")
    async def show_sign_in(
        request: Request,
        place: Annotated[str, Query(alias="next")] = "",
        ended: str = "",
    ) -> Response:
        if request.headers.get("Sec-Fetch-Site") == "cross-site":
            # The browser kept the cookie back, because another site has the link. It sends it to this page.
            return _again(services, request)
        if _has_session(services, request):
            return redirect(_target(request, place))
        return _page(services, request, _Attempt(place, ended=bool(ended)))

    @router.post("/console/sign-in")
    async def sign_in(request: Request, form: Annotated[SignInForm, Form()]) -> Response:
        try:
            return await _signed_in(services, request, form)
        except (HttpError, RemoteUnavailable, StoreUnavailable) as error:
            answer = failure_page(frame, request, failure_of(error) or Failure.of_defect())
            answer.headers.update(SECURITY)
            return answer

    @router.post("/console/sign-out")
    async def sign_out(request: Request, csrf: Annotated[str, Form()] = "") -> Response:
        answer = redirect(f"{console_root(request)}/sign-in")
        token = frame.sessions.token(request)
        if token is not None and _is_own(services, request, token, csrf):
            frame.sessions.end(request, answer)
        return answer

    return router


async def _signed_in(services: SignInServices, request: Request, form: SignInForm) -> Response:
    """Check the password, and return the way to the page where the visitor was.

    Raises:
        HttpError: too many were sent from this address, or the form isn't ours.
        RemoteUnavailable: the platform gives no answer.
        BadResponse: its answer has no token.
        StoreUnavailable: wrong passwords can't be counted.
    """
    services.frame.access.limits.check(request, _VISITOR, _SIGN_IN, peer=False)
    if not is_own_form(request, form.csrf, _NOBODY):
        raise ForeignForm
    if services.authentication is None:
        return _page(services, request, _Attempt.of(form, None), 503)
    project, name = form.project.strip(), form.name.strip()
    wait = await services.wrong.wait(project, name)
    if wait:
        return _page(services, request, _Attempt.of(form, "too-many", wait), 429)
    token = await services.authentication.sign_in(Tenant(project), name, form.password)
    if token is None:
        await services.wrong.count(project, name)
        return _page(services, request, _Attempt.of(form, "wrong"), 401)
    if services.frame.access.tokens.seconds_left(token) <= 0:
        # A token that this service doesn't accept: the keys of the platform and of the service differ.
        return _page(services, request, _Attempt.of(form, "unusable"), 502)
    await services.wrong.forget(project, name)
    answer = redirect(_target(request, form.next))
    services.frame.sessions.begin(request, answer, token)
    return answer


def _page(
    services: SignInServices, request: Request, attempt: _Attempt, status: int = 200
) -> Response:
    texts = Texts(language_of(request.headers.get("Accept-Language", "")))
    secret = form_secret(request)
    answer = services.frame.templates.page(
        "sign_in.html",
        status,
        texts=texts,
        root=console_root(request),
        form_proof=form_proof(secret, _NOBODY),
        now=services.frame.clock.now(),
        caller=None,
        said=None,
        attempt=attempt,
        with_password=services.authentication is not None,
    )
    keep_form_secret(request, answer, secret)
    if attempt.wait:
        answer.headers["Retry-After"] = str(attempt.wait)
    answer.headers.update(SECURITY)
    return answer


def _again(services: SignInServices, request: Request) -> Response:
    texts = Texts(language_of(request.headers.get("Accept-Language", "")))
    answer = services.frame.templates.page(
        "again.html", 200, texts=texts, root=console_root(request), caller=None, said=None
    )
    answer.headers.update({**SECURITY, "Refresh": "0"})
    return answer


def _target(request: Request, place: str) -> str:
    """Return the address of a page of the console; that of own orders if the place is none."""
    known = place if _PLACE.fullmatch(place) and ".." not in place else ""
    return f"{console_root(request)}/{known.lstrip('/')}"


def _has_session(services: SignInServices, request: Request) -> bool:
    token = request.cookies.get(SESSION_COOKIE)
    return token is not None and services.frame.access.tokens.seconds_left(token) > 0


def _is_own(services: SignInServices, request: Request, token: str, csrf: str) -> bool:
    """True if the form is of the visitor. The token of a session that has ended proves nothing any more."""
    try:
        caller = services.frame.access.tokens.verify(token)
    except InvalidToken:
        return True
    return is_own_form(request, csrf, f"{caller.tenant}\n{caller.email}")
