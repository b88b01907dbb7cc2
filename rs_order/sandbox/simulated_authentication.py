"""The OAuth endpoint of the platform over HTTP: a token for a name, a password and a project."""

from __future__ import annotations

import hmac
import time
from typing import Annotated, Any

from fastapi import APIRouter, Form
from starlette.responses import Response

from rs_order.sandbox.projects import Projects
from rs_order.sandbox.service_protocol import Identity, answer, bearer
from rs_order.sandbox.user_directory import Directory, User

TOKEN_SECONDS = 7200
_INSTANCE = "instance"
"""The scope of those who administer the whole installation."""


def authentication_router(directory: Directory, projects: Projects, jwt_key: str) -> APIRouter:
    router = APIRouter(prefix="/rs-authentication")

    @router.post("/oauth/token")
    async def token(
        grant_type: Annotated[str, Form()],
        username: Annotated[str, Form()],
        password: Annotated[str, Form()],
        scope: Annotated[str, Form()],
    ) -> Response:
        if grant_type != "password":
            return _rejection("unsupported_grant_type", "only grant_type=password is simulated")
        user = directory.find(username, scope)
        if user is None or not _may_enter(user, scope, projects):
            return _rejection("invalid_grant", "unknown user or project")
        if not hmac.compare_digest(user.password.encode(), password.encode()):
            return _rejection("invalid_grant", "wrong password")
        expires_at = int(time.time()) + TOKEN_SECONDS
        identity = Identity(scope, user.role, user.email)
        return answer(_token(bearer(identity, jwt_key, expires_at=expires_at), identity))

    return router


def _may_enter(user: User, scope: str, projects: Projects) -> bool:
    return scope in projects or (scope == _INSTANCE and user.role == "INSTANCE_ADMIN")


def _token(token: str, identity: Identity) -> dict[str, Any]:
    return {
        "access_token": token,
        "token_type": "bearer",
        "expires_in": TOKEN_SECONDS,
        "scope": identity.tenant,
        "sub": identity.email,
        "role": identity.role,
    }


def _rejection(code: str, text: str) -> Response:
    return answer({"error": code, "error_description": text}, 400)
