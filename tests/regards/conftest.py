"""The clients of the platform's services, connected to a simulated platform over HTTP."""

from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path

import aiohttp
import pytest

from rs_order.domain.identity import Caller
from rs_order.domain.ids import Tenant
from rs_order.regards.address_policy import AddressPolicy
from rs_order.regards.admin import RegardsProjects, RegardsUsers
from rs_order.regards.catalog import RegardsCatalog, RegardsDatasetFiles
from rs_order.regards.file_sources import (
    ExternalAccess,
    ExternalFiles,
    RegardsFileSources,
    StoredFiles,
)
from rs_order.regards.http import CallLimits, RemoteService, TokenIssuer, new_client
from rs_order.sandbox.launch import running_sandbox
from rs_order.sandbox.simulated_platform import Sandbox, SandboxOptions
from tests.support.clock import ManualClock

KEY = "!!!!!==========abcdefghijklmnopqrstuvwxyz0123456789==========!!!!!"
DEMO = Tenant("demo")
JANE = Caller(DEMO, "jane@example.org", "REGISTERED_USER")
ADMIN = Caller(DEMO, "admin@example.org", "PROJECT_ADMIN")


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with running_sandbox(SandboxOptions(jwt_key=KEY)) as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with new_client(CallLimits(connect_seconds=2, read_seconds=1)) as client:
        yield client


@pytest.fixture
async def files_client() -> AsyncIterator[aiohttp.ClientSession]:
    limits = CallLimits(connect_seconds=2, read_seconds=1, call_seconds=None)
    async with new_client(limits, decode=False) as client:
        yield client


@pytest.fixture
def tokens() -> TokenIssuer:
    return TokenIssuer(KEY)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def catalog(sandbox: Sandbox, client: aiohttp.ClientSession, tokens: TokenIssuer) -> RegardsCatalog:
    service = RemoteService("rs-catalog", sandbox.urls["CATALOG_URL"], client)
    return RegardsCatalog(service, tokens)


@pytest.fixture
def dataset_files(
    sandbox: Sandbox, client: aiohttp.ClientSession, tokens: TokenIssuer
) -> RegardsDatasetFiles:
    service = RemoteService("rs-dam", sandbox.urls["DAM_URL"], client)
    return RegardsDatasetFiles(service, tokens)


@pytest.fixture
def users(
    sandbox: Sandbox, client: aiohttp.ClientSession, tokens: TokenIssuer, clock: ManualClock
) -> RegardsUsers:
    service = RemoteService("rs-admin", sandbox.urls["ADMIN_URL"], client)
    return RegardsUsers(service, tokens, now=clock.monotonic)


@pytest.fixture
def projects(
    sandbox: Sandbox, client: aiohttp.ClientSession, tokens: TokenIssuer, clock: ManualClock
) -> RegardsProjects:
    service = RemoteService("rs-admin-instance", sandbox.urls["ADMIN_INSTANCE_URL"], client)
    return RegardsProjects(service, tokens, now=clock.monotonic)


LOOPBACK = AddressPolicy([ip_network("127.0.0.0/8")])
"""Servers of tests listen there."""


@pytest.fixture
async def sources(
    sandbox: Sandbox, files_client: aiohttp.ClientSession, tokens: TokenIssuer, tmp_path: Path
) -> AsyncIterator[RegardsFileSources]:
    stored = StoredFiles(
        files_client,
        tokens,
        storage_url=sandbox.urls["STORAGE_URL"],
        dam_url=sandbox.urls["DAM_URL"],
    )
    access = ExternalAccess(folders=(tmp_path / "readable",), policy=LOOPBACK)
    external = ExternalFiles(access, CallLimits(connect_seconds=2, read_seconds=1))
    yield RegardsFileSources(stored, external)
    await external.aclose()
