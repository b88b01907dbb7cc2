"""Clients of rs-admin and rs-admin-instance (remote-services.md 5, 6)."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote

from cachetools import TLRUCache

from rs_order.domain.identity import INSTANCE, SERVICE
from rs_order.domain.ids import Tenant
from rs_order.ports import ConnectionState, Mail, RemoteRejection, User
from rs_order.regards.http import RemoteService, TokenIssuer

_CONNECTIONS: Final = f"/connections/{SERVICE}"
_EMAIL: Final = "/email"

_Key = tuple[Tenant, str]
Key = TypeVar("Key")
Value = TypeVar("Value")


class AnswerCache(Generic[Key, Value]):
    """Caches answers of a remote service, each for its own time. Errors are not cached.

    Concurrent callers of the same key share one call.
    """

    def __init__(
        self,
        fetch: Callable[[Key], Awaitable[Value]],
        *,
        seconds: Callable[[Value], float],
        size: int,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create an empty cache.

        Args:
            fetch: calls the remote service.
            seconds: how long an answer is cached.
            size: the most answers that are cached.
            now: the clock, in seconds.
        """
        self._fetch = fetch
        self._cached: TLRUCache[Key, Value] = TLRUCache(
            size, ttu=lambda _key, answer, at: at + seconds(answer), timer=now
        )
        self._calls: dict[Key, asyncio.Task[Value]] = {}

    async def get(self, key: Key) -> Value:
        """Return the cached answer, or call the service; raise what ``fetch`` raises."""
        try:
            return self._cached[key]
        except KeyError:
            # Shielded, because other callers may wait for the same call if this one is cancelled.
            return await asyncio.shield(self._calls.get(key) or self._start_call(key))

    def _start_call(self, key: Key) -> asyncio.Task[Value]:
        task = asyncio.create_task(self._call(key))
        self._calls[key] = task
        task.add_done_callback(lambda done: self._ended(key, done))
        return task

    async def _call(self, key: Key) -> Value:
        answer = self._cached[key] = await self._fetch(key)
        return answer

    def _ended(self, key: Key, task: asyncio.Task[Value]) -> None:
        del self._calls[key]
        if not task.cancelled():
            # All callers may have been cancelled; asyncio logs errors that nobody retrieves.
            task.exception()


class RegardsUsers:
    """Implements :class:`rs_order.ports.Users`. Answers are cached per tenant and e-mail (W34)."""

    def __init__(
        self,
        service: RemoteService,
        tokens: TokenIssuer,
        *,
        known_seconds: float = 300.0,
        unknown_seconds: float = 30.0,
        users_cached: int = 10_000,
        admin_seconds: float = 600.0,
        admins_cached: int = 1000,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._service = service
        self._tokens = tokens
        self._users: AnswerCache[_Key, User | None] = AnswerCache(
            self._fetch_user,
            seconds=lambda user: known_seconds if user else unknown_seconds,
            size=users_cached,
            now=now,
        )
        self._admins: AnswerCache[_Key, bool] = AnswerCache(
            self._fetch_is_admin, seconds=lambda _: admin_seconds, size=admins_cached, now=now
        )

    async def find(self, tenant: Tenant, email: str) -> User | None:
        return await self._users.get((tenant, email))

    async def is_admin(self, tenant: Tenant, email: str) -> bool:
        return await self._admins.get((tenant, email))

    async def _fetch_user(self, key: _Key) -> User | None:
        tenant, email = key
        path = f"/users/email/{quote(email, safe='')}"
        answer = await self._service.get(path, self._tokens.system(tenant))
        if answer is None:
            return None
        role = _role_name(answer)
        if role is None:
            raise self._service.bad_response(path, "the answer has no content.role.name")
        return User(email, role)

    async def _fetch_is_admin(self, key: _Key) -> bool:
        tenant, email = key
        path = f"/users/email/{quote(email, safe='')}/admin"
        answer = await self._service.get(path, self._tokens.system(tenant))
        if answer is None:
            return False
        if not isinstance(answer, bool):
            raise self._service.bad_response(path, "the answer is neither true nor false")
        return answer


def _role_name(answer: Any) -> str | None:
    try:
        name = answer["content"]["role"]["name"]
    except (KeyError, TypeError):
        return None
    return name if isinstance(name, str) and name else None


class RegardsProjects:
    """Implements :class:`rs_order.ports.Projects`."""

    def __init__(
        self,
        service: RemoteService,
        tokens: TokenIssuer,
        *,
        seconds: float = 300.0,
        projects_cached: int = 1000,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._service = service
        self._tokens = tokens
        self._hosts: AnswerCache[Tenant, str | None] = AnswerCache(
            self._fetch_host, seconds=lambda _: seconds, size=projects_cached, now=now
        )

    async def host(self, tenant: Tenant) -> str | None:
        return await self._hosts.get(tenant)

    async def _fetch_host(self, tenant: Tenant) -> str | None:
        path = f"/projects/{quote(tenant, safe='')}"
        answer = await self._service.get(path, self._tokens.system(tenant))
        if answer is None:
            return None
        content = answer.get("content") if isinstance(answer, dict) else None
        if not isinstance(content, dict):
            raise self._service.bad_response(path, "the answer has no content")
        host = content.get("host")
        if host is not None and not isinstance(host, str):
            raise self._service.bad_response(path, "content.host isn't a text")
        return host.rstrip("/") if host else None


class RegardsConnections:
    """Client of rs-admin-instance for the connections of projects (remote-services.md 6.4).

    All calls raise RemoteRejection and RemoteUnavailable.
    """

    def __init__(self, service: RemoteService, tokens: TokenIssuer) -> None:
        self._service = service
        self._tokens = tokens

    async def wanted(self) -> list[Tenant]:
        """Return the projects with a connection to this service that isn't disabled."""
        answer = await self._service.get(_CONNECTIONS, self._tokens.system(INSTANCE))
        if answer is None:
            return []
        try:
            return [
                Tenant(_name_of(connection))
                for connection in answer
                if connection.get("state") != ConnectionState.DISABLED
            ]
        except (AttributeError, TypeError, KeyError) as error:
            raise self._service.bad_response(
                _CONNECTIONS, "the answer isn't a list of connections"
            ) from error

    async def report(
        self, tenant: Tenant, state: ConnectionState, cause: str | None = None
    ) -> None:
        """Report the state of a project's connection; ``cause`` explains an ERROR."""
        body: dict[str, str] = {"tenant": tenant, "state": state}
        if cause is not None:
            body["errorCause"] = cause
        await self._service.put(_CONNECTIONS, self._tokens.system(INSTANCE), body)


def _name_of(connection: Any) -> str:
    name = connection["tenant"]
    if not isinstance(name, str):
        raise TypeError("a tenant's name is a text")
    return name


class RegardsMailer:
    """Implements :class:`rs_order.ports.Mailer`; called as administrator of the installation."""

    def __init__(
        self, service: RemoteService, tokens: TokenIssuer, sender: str | None = None
    ) -> None:
        """``sender``: the From address; None: that of the mail service (domain.md 16.2)."""
        self._service = service
        self._tokens = tokens
        self._sender = sender

    async def send(self, tenant: Tenant, mail: Mail) -> None:  # noqa: ARG002 - one service for all
        body: dict[str, Any] = {"to": [mail.to], "subject": mail.subject, "text": mail.html}
        if self._sender is not None:
            body["from"] = self._sender
        if not await self._service.create(_EMAIL, self._tokens.instance(), body):
            raise RemoteRejection(
                self._service.name, 404, f"{_EMAIL}: status 404: no such endpoint"
            )
