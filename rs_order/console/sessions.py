"""Sessions: the token in a cookie, and the proof that a form is ours."""

import hmac
import secrets
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

from fastapi import Request, Response

from rs_order.rest.addresses import base_address
from rs_order.rest.tokens import TokenVerifier

SESSION_COOKIE: Final = "rs-order-session"
FORM_COOKIE: Final = "rs-order-form"
FORM_FIELD: Final = "csrf"
_BEARER: Final = "Bearer "


def console_root(request: Request) -> str:
    """Return the path of the console as the browser sees it, without a slash at the end."""
    return f"{urlsplit(base_address(request)).path}/console"


class Sessions:
    """Keeps nothing: the browser has the token, in a cookie that scripts can't read."""

    def __init__(self, tokens: TokenVerifier, *, proxy_token: bool) -> None:
        """``proxy_token``: a token in the header ``Authorization`` is accepted, too."""
        self._tokens = tokens
        self._proxy_token = proxy_token

    def token(self, request: Request) -> str | None:
        """Return the token of a request, which may be invalid; None if it has none."""
        authorization = request.headers.get("Authorization", "")
        if self._proxy_token and authorization.startswith(_BEARER):
            return authorization.removeprefix(_BEARER).strip()
        return request.cookies.get(SESSION_COOKIE)

    def begin(self, request: Request, answer: Response, token: str) -> None:
        """Set the cookie, which ends with the token."""
        _set_cookie(
            request, answer, SESSION_COOKIE, token, max_age=int(self._tokens.seconds_left(token))
        )

    def end(self, request: Request, answer: Response) -> None:
        answer.delete_cookie(SESSION_COOKIE, path=console_root(request))


def form_secret(request: Request) -> str:
    """Return the secret of this browser from which the proofs of its forms are made; a new one if none."""
    return request.cookies.get(FORM_COOKIE) or secrets.token_urlsafe(24)


def keep_form_secret(request: Request, answer: Response, secret: str) -> None:
    if request.cookies.get(FORM_COOKIE) != secret:
        _set_cookie(request, answer, FORM_COOKIE, secret)


def form_proof(secret: str, user: str) -> str:
    """Return what a form of this browser and user contains."""
    return hmac.digest(secret.encode(), user.encode(), sha256).hex()


def is_own_form(request: Request, proof: str, user: str) -> bool:
    """True if the page that sends the form is ours: its origin, and the proof it contains."""
    secret = request.cookies.get(FORM_COOKIE)
    base = urlsplit(base_address(request))
    origin = request.headers.get("Origin", "")
    return (
        secret is not None
        and origin == f"{base.scheme}://{base.netloc}"
        and hmac.compare_digest(proof.encode(), form_proof(secret, user).encode())
    )


def _set_cookie(
    request: Request, answer: Response, name: str, value: str, *, max_age: int | None = None
) -> None:
    answer.set_cookie(
        name,
        value,
        max_age=max_age,
        path=console_root(request),
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
