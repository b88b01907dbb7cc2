"""rs-admin: the endpoints registered for a project, and what each role may do (remote-services.md 5.3)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import structlog
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from rs_order.contracts.administration import ResourceMapping
from rs_order.contracts.platform_names import ADMINISTRATORS
from rs_order.domain.errors import PatternRejectedError
from rs_order.domain.files import compile_pattern
from rs_order.domain.identity import SERVICE
from rs_order.domain.ids import Tenant
from rs_order.regards.http import RemoteService, TokenIssuer

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RoleRights:
    """The rights of one role: the endpoints it may use, and the addresses it may come from."""

    resources: frozenset[str]
    """``<path template>@<VERB>``."""
    addresses: tuple[str, ...] = ()
    """Addresses, or regular expressions for them; none: any address."""

    def admits(self, address: str) -> bool:
        """True if the role may be used from the address."""
        return not self.addresses or any(_matches(one, address) for one in self.addresses)


RightsByRole = Mapping[str, RoleRights]


class _Role(BaseModel):
    model_config = ConfigDict(extra="ignore")

    name: str = Field(min_length=1)
    addresses: list[str] | None = Field(None, alias="authorizedAddresses")


class _RoleItem(BaseModel):
    content: _Role


class _Endpoint(BaseModel):
    model_config = ConfigDict(extra="ignore")

    resource: str
    verb: str


class _EndpointItem(BaseModel):
    content: _Endpoint


_ROLES: Final = TypeAdapter(list[_RoleItem])
_ENDPOINTS: Final = TypeAdapter(list[_EndpointItem])


class RegardsRoles:
    """Client of rs-admin for roles; all calls raise RemoteRejection and RemoteUnavailable."""

    def __init__(
        self, service: RemoteService, tokens: TokenIssuer, endpoints: Sequence[ResourceMapping]
    ) -> None:
        """``endpoints``: those that ``register`` sends."""
        self._service = service
        self._tokens = tokens
        self._endpoints = [endpoint.to_wire() for endpoint in endpoints]

    async def register(self, tenant: Tenant) -> None:
        """Register the endpoints; those already registered keep their rights."""
        path = f"/resources/microservices/{SERVICE}"
        token = self._tokens.system(tenant)
        async with self._service.post_for_text(path, token, self._endpoints) as answer:
            if answer is None:
                raise self._service.bad_response(path, "status 404")

    async def rights(self, tenant: Tenant) -> RightsByRole:
        """Return the rights of every role of the project."""
        answer = await self._service.get("/roles", self._tokens.system(tenant))
        roles = [item.content for item in self._parsed(_ROLES, "/roles", answer)]
        return {
            role.name: RoleRights(
                await self.resources(tenant, role.name), tuple(_usable(role.addresses or ()))
            )
            for role in roles
        }

    async def resources(self, tenant: Tenant, role: str) -> frozenset[str]:
        """Return the keys of the endpoints that a role may use; none if the role doesn't exist."""
        if role in ADMINISTRATORS:
            return frozenset()
        path = f"/roles/{quote(role, safe='')}/resources/{SERVICE}"
        answer = await self._service.get(path, self._tokens.system(tenant))
        if answer is None:
            return frozenset()
        endpoints = (item.content for item in self._parsed(_ENDPOINTS, path, answer))
        return frozenset(f"{endpoint.resource}@{endpoint.verb}" for endpoint in endpoints)

    def _parsed(self, adapter: TypeAdapter[Any], path: str, answer: Any) -> Any:
        try:
            return adapter.validate_python(answer)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise self._service.bad_response(path, f"{where}: {first['msg']}") from error


def _usable(addresses: Sequence[str]) -> Iterator[str]:
    """Yield the patterns that aren't blank. One that RE2 rejects is matched as plain text only."""
    for address in addresses:
        if not address.strip():
            continue
        try:
            compile_pattern(address)
        except PatternRejectedError as error:
            log.warning("address-pattern-rejected", pattern=address, cause=str(error))
        yield address


def _matches(pattern: str, address: str) -> bool:
    if pattern == address:
        return True
    try:
        return compile_pattern(pattern).fullmatch(address) is not None
    except PatternRejectedError:
        return False
