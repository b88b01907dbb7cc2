"""The checks of every call before its service: record, outage, token, tenant."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rs_order.sandbox.faults import Faults, Outage, OutageMode, Service
from rs_order.sandbox.http_server import hang_up
from rs_order.sandbox.records import Call, Calls
from rs_order.sandbox.service_protocol import Identity, TokenError, failure, identify

_INSTANCE_SERVICES = (Service.ADMIN_INSTANCE,)
"""Services of the whole installation; callers may have any tenant."""
_OPEN_SERVICES = (Service.AUTHENTICATION, Service.EXTERNAL)
"""Services that require no token."""
_GARBAGE = b'{"garbage": [1, 2, {"three": null}], "content": 42, "links": "none"}'


class Gate:
    """ASGI middleware for all simulated services. Other paths, such as ``/sandbox``, are not checked."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        faults: Faults,
        calls: Calls,
        tenants: Collection[str],
        jwt_key: str,
    ) -> None:
        self._app = app
        self._faults = faults
        self._calls = calls
        self._tenants = tenants
        self._key = jwt_key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        service = _service(scope) if scope["type"] == "http" else None
        if service is None:
            await self._app(scope, receive, send)
            return
        identity, rejection = self._identify(scope, service)
        call = _call(scope, service, identity)
        self._calls.add(call)

        async def send_recorded(message: Message) -> None:
            if message["type"] == "http.response.start":
                call.status = message["status"]
            await send(message)

        outage = self._faults.take_outage(service)
        if outage is not None and not await _apply_outage(outage, scope, receive, send_recorded):
            return
        if rejection is not None:
            await rejection(scope, receive, send_recorded)
            return
        scope["state"]["identity"] = identity
        if outage is not None and outage.mode is OutageMode.HALF:
            await self._app(scope, receive, _half(scope, receive, send_recorded))
        else:
            await self._app(scope, receive, send_recorded)

    def _identify(self, scope: Scope, service: Service) -> tuple[Identity | None, Response | None]:
        """Return the caller's identity, and the response that rejects the call if it isn't acceptable."""
        if service in _OPEN_SERVICES:
            return None, None
        try:
            identity = identify(Request(scope).headers.get("authorization"), self._key)
        except TokenError as error:
            return None, failure(401, str(error))
        if service not in _INSTANCE_SERVICES and identity.tenant not in self._tenants:
            return identity, failure(403, f"Tenant {identity.tenant} is not served here")
        return identity, None


def caller(request: Request) -> Identity:
    """Return the identity that the gate verified."""
    identity: Identity = request.state.identity
    return identity


def _service(scope: Scope) -> Service | None:
    prefix = scope["path"].lstrip("/").partition("/")[0]
    return Service(prefix) if prefix in set(Service) else None


def _call(scope: Scope, service: Service, identity: Identity | None) -> Call:
    return Call(
        service=service.value,
        verb=scope["method"],
        path=scope["path"].removeprefix(f"/{service.value}"),
        tenant=identity.tenant if identity else None,
        role=identity.role if identity else None,
        email=identity.email if identity else None,
        at=datetime.now(UTC),
    )


async def _apply_outage(outage: Outage, scope: Scope, receive: Receive, send: Send) -> bool:
    """Apply an outage to a call; return True if the service must still answer it."""
    match outage.mode:
        case OutageMode.SLOW:
            await asyncio.sleep(outage.seconds)
            return True
        case OutageMode.HALF:
            return True
        case OutageMode.DOWN:
            await hang_up(scope, receive)
        case OutageMode.STATUS:
            text = f"Sandbox outage: forced status {outage.status}"
            await failure(outage.status, text)(scope, receive, send)
        case OutageMode.NONSENSE:
            await Response(b"<html>not JSON", media_type="text/html")(scope, receive, send)
        case OutageMode.GARBAGE:
            await Response(_GARBAGE, media_type="application/json")(scope, receive, send)
        case OutageMode.EMPTY:
            await Response(b"", media_type="application/json")(scope, receive, send)
    return False


def _half(scope: Scope, receive: Receive, send: Send) -> Send:
    """Return a ``send`` that closes the connection in the middle of the first piece of the body."""

    async def send_half(message: Message) -> None:
        body = message.get("body", b"")
        if message["type"] == "http.response.start" or not body:
            await send(message)
            return
        await send({**message, "body": body[: len(body) // 2], "more_body": True})
        await hang_up(scope, receive)

    return send_half
