"""The configuration that eodag needs to order here, filled in for a project (faces.md 2.8)."""

import json
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response
from jinja2 import Environment, StrictUndefined, Template

from rs_order.contracts.platform_names import PlatformService
from rs_order.domain.identity import SERVICE
from rs_order.domain.ids import Tenant
from rs_order.rest.access import Access
from rs_order.rest.addresses import base_address
from rs_order.rest.resources import GET_EODAG_PROVIDER
from rs_order.rest.routing import AuthorisedCaller, Endpoints
from rs_order.store.unit_of_work import Store

YAML: Final = "application/yaml"


@dataclass(frozen=True, slots=True)
class EodagServices:
    """What fills in the configuration."""

    store: Store
    catalog_url: str | None
    """The public address of the catalog's STAC; None: it is behind the same gateway."""
    token_url: str | None
    """Where users get their tokens; None: from rs-authentication behind the same gateway."""


def eodag_router(access: Access, services: EodagServices) -> APIRouter:
    endpoints = Endpoints(access, tag="stac", problems=True)

    @endpoints.serve(
        GET_EODAG_PROVIDER,
        documented={200: {"content": {YAML: {}}, "description": "The configuration"}},
    )
    async def get_eodag_provider(request: Request, caller: AuthorisedCaller) -> Response:
        """The configuration of eodag for the caller's project. Only the caller's account is to be added."""
        async with services.store.unit_of_work(caller.tenant) as uow:
            settings = await uow.settings()
        text = eodag_provider(
            caller.tenant, base_address(request), services, settings.eodag_client_basic
        )
        headers = {"Content-Disposition": 'attachment; filename="eodag.yml"'}
        return Response(text, media_type=YAML, headers=headers)

    return endpoints.router


def eodag_provider(tenant: Tenant, base: str, services: EodagServices, client: str) -> str:
    """Return the configuration as YAML.

    Args:
        tenant: the project.
        base: the address of this service, as the caller sees it.
        services: the addresses of others.
        client: credentials of the client, in Base64; empty: unknown.
    """
    gateway = base.removesuffix(f"/{SERVICE}")
    catalog = services.catalog_url or f"{gateway}/{PlatformService.CATALOG}/stac"
    token = services.token_url or f"{gateway}/rs-authentication/oauth/token"
    hosts = list(dict.fromkeys(_host(one) for one in (base, catalog, token)))
    return _template().render(
        tenant=tenant,
        host=hosts[0],
        base=base,
        catalog=catalog.rstrip("/"),
        token=token,
        hosts=_matching(hosts),
        client=client,
    )


def _host(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


def _matching(hosts: list[str]) -> str:
    """Return the beginning of addresses to which the token is sent, as a pattern in a string of YAML."""
    return json.dumps("|".join(f"{re.escape(host)}/" for host in hosts))


@cache
def _template() -> Template:
    text = files(__package__).joinpath("templates", "eodag.yml").read_text(encoding="utf-8")
    environment = Environment(autoescape=False, undefined=StrictUndefined)  # noqa: S701 - no HTML
    return environment.from_string(text)
