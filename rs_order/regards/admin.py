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
from rs_order.regards.http import RemoteService
from rs_order.regards.token_issuer import TokenIssuer

Key = TypeVar("Key")
Value = TypeVar("Value")


class AnswerCache(Generic[Key, Value]):
    """Remembers verdicts, each for its own time; an error is not a verdict and is never kept.

    Callers that ask the same at the same time share one call.
    """

    def __init__(
        self,
        ask: Callable[[Key], Awaitable[Value]],
        *,
        seconds: Callable[[Value], float],
        size: int,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._known: TLRUCache[Key, Value] = TLRUCache(
            size, ttu=lambda _key, verdict, at: at + seconds(verdict), timer=now
        )
        self._asking: dict[Key, asyncio.Task[Value]] = {}

    async def get(self, key: Key) -> Value:
        """The verdict, asked for when it isn't known; raises what the asking raises."""
        try:
            return self._known[key]
        except KeyError:
            # Shielded: the call is shared, one caller who gives up must not spoil it for the rest.
            return await asyncio.shield(self._asking.get(key) or self._start_asking(key))

    def _start_asking(self, key: Key) -> asyncio.Task[Value]:
        task = asyncio.create_task(self._learn(key))
        self._asking[key] = task
        task.add_done_callback(lambda done: self._asked(key, done))
        return task

    async def _learn(self, key: Key) -> Value:
        verdict = self._known[key] = await self._ask(key)
        return verdict

    def _asked(self, key: Key, task: asyncio.Task[Value]) -> None:
        del self._asking[key]
        if not task.cancelled():
            # Looked at here, for nobody else may be left to: asyncio complains of unread errors.
            task.exception()


_Key = tuple[Tenant, str]


class RegardsUsers:
    """Implements ``Users``. Verdicts belong to a tenant and an e-mail, never to an e-mail alone."""

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
            self._ask_user,
            seconds=lambda user: known_seconds if user else unknown_seconds,
            size=users_cached,
            now=now,
        )
        self._admins: AnswerCache[_Key, bool] = AnswerCache(
            self._ask_is_admin, seconds=lambda _: admin_seconds, size=admins_cached, now=now
        )

    async def find(self, tenant: Tenant, email: str) -> User | None:
        return await self._users.get((tenant, email))

    async def is_admin(self, tenant: Tenant, email: str) -> bool:
        return await self._admins.get((tenant, email))

    async def _ask_user(self, key: _Key) -> User | None:
        tenant, email = key
        path = f"/users/email/{quote(email, safe='')}"
        answer = await self._service.get(path, self._tokens.system(tenant))
        if answer is None:
            return None
        role = _role_name(answer)
        if role is None:
            raise self._service.bad_response(path, "the answer has no content.role.name")
        return User(email, role)

    async def _ask_is_admin(self, key: _Key) -> bool:
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


_CONNECTIONS: Final = f"/connections/{SERVICE}"


class RegardsProjects:
    """Implements ``Projects``."""

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
            self._ask_host, seconds=lambda _: seconds, size=projects_cached, now=now
        )

    async def host(self, tenant: Tenant) -> str | None:
        return await self._hosts.get(tenant)

    async def _ask_host(self, tenant: Tenant) -> str | None:
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


_PATH = "/email"


class RegardsMailer:
    """Implements :class:`rs_order.ports.Mailer`; called as administrator of the installation."""

    def __init__(
        self, service: RemoteService, tokens: TokenIssuer, sender: str | None = None
    ) -> None:
        """``sender`` is the From address; None: the mail service's own (domain.md 16.2)."""
        self._service = service
        self._tokens = tokens
        self._sender = sender

    async def send(self, tenant: Tenant, mail: Mail) -> None:  # noqa: ARG002 - one service for all
        body: dict[str, Any] = {"to": [mail.to], "subject": mail.subject, "text": mail.html}
        if self._sender is not None:
            body["from"] = self._sender
        if not await self._service.create(_PATH, self._tokens.instance(), body):
            raise RemoteRejection(self._service.name, 404, f"{_PATH}: status 404: no such endpoint")
