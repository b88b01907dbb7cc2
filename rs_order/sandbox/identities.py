"""The identity of a caller, and its token between REGARDS services (remote-services.md 1.5)."""

from __future__ import annotations

from dataclasses import dataclass

import jwt

DEVELOPMENT_KEY = "!!!!!==========abcdefghijklmnopqrstuvwxyz0123456789==========!!!!!"
_ALGORITHM = "HS512"
_MANDATORY = ("tenant", "sub", "email", "role")


@dataclass(frozen=True, slots=True)
class Identity:
    tenant: str
    role: str
    email: str


class TokenError(Exception):
    """The caller has no valid token. The message is the reason in the 401."""


def identify(authorization: str | None, key: str) -> Identity:
    """Return the identity in an ``Authorization`` header.

    Raises:
        TokenError: no bearer token, a bad signature, an expired one, or a missing claim.
    """
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise TokenError("Authentication required: send Authorization: Bearer <token>")
    try:
        claims = jwt.decode(
            token, key, algorithms=[_ALGORITHM], options={"require": [*_MANDATORY, "exp"]}
        )
    except jwt.InvalidTokenError as error:
        raise TokenError(f"Invalid token: {error}") from error
    return Identity(tenant=claims["tenant"], role=claims["role"], email=claims["email"])


def bearer(identity: Identity, key: str, *, expires_at: int) -> str:
    """Return a token for an identity, without the prefix Bearer; ``expires_at`` is in epoch seconds."""
    claims = {
        "tenant": identity.tenant,
        "role": identity.role,
        "sub": identity.email,
        "email": identity.email,
        "exp": expires_at,
    }
    return jwt.encode(claims, key, algorithm=_ALGORITHM)
