"""A complete service for real clients of STAC, which run in an environment of their own."""

import asyncio
import json
import os
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import yaml

from rs_order.demo.servers.lifecycle import Servers
from rs_order.sandbox.user_directory import PASSWORD
from tests.acceptance.platform import TENANT, Platform, running_platform
from tests.acceptance.shared_platform import new_user
from tests.support.reused_broker import ReusedBroker
from tests.support.servers import FreshBroker, fresh_database
from tests.support.stac_clients import python_of_clients

PROVIDER = "regards_project1"


@pytest.fixture
def broker(platform_broker: FreshBroker) -> FreshBroker:
    """Virtual hosts in which the queues of rs_order exist."""
    return platform_broker


@pytest.fixture(scope="session")
def clients_python() -> Path:
    return python_of_clients()


@pytest.fixture(scope="session")
async def stac_platform(
    servers: Servers,
    _database_admin: asyncpg.Connection,
    _reused_broker: ReusedBroker,
    clients_python: Path,
) -> AsyncIterator[Platform]:
    async with (
        fresh_database(_database_admin, servers.database_url) as database_url,
        _reused_broker.virtual_hosts() as broker,
        running_platform(
            broker,
            database_url,
            order_secret="!!!! the secret of order tokens in tests !!!!",
            max_storage_files_jobs_per_user=0,
            stac_deadline=4,  # eodag waits for five seconds
        ) as here,
        here.service(),
    ):
        yield here


@pytest.fixture
async def here(stac_platform: Platform) -> AsyncIterator[Platform]:
    yield stac_platform
    stac_platform.reset_sandbox()
    stac_platform.sandbox.faults.nearline_seconds = 0.05


@dataclass(frozen=True)
class Eodag:
    """A user of eodag, with the configuration that the service gives."""

    here: Platform
    python: Path
    home: Path
    email: str

    @property
    def downloads(self) -> Path:
        return self.home / "downloads"

    def have_token(self) -> None:
        """Take a token instead of the account, as the tutorial says (S-23)."""
        configuration = self.home / ".config/eodag/eodag.yml"
        providers = yaml.safe_load(configuration.read_text(encoding="utf-8"))
        provider = providers[PROVIDER]
        provider["auth"] = provider["search_auth"] = {
            "type": "HTTPHeaderAuth",
            "matching_url": provider["auth"]["matching_url"],
            "headers": {"Authorization": "Bearer {apikey}"},
            "credentials": {"apikey": self.here.sandbox.token(self.email, tenant=TENANT)},
        }
        configuration.write_text(yaml.safe_dump(providers), encoding="utf-8")

    async def run(self, action: str, **conditions: Any) -> dict[str, Any]:
        """Order or download what a search finds, and return what the user sees.

        Without conditions, it is what the last search found.
        """
        searched = [json.dumps(conditions)] if conditions else []
        return await ran(
            self.python,
            "eodag_program.py",
            *(PROVIDER, str(self.downloads), action, *searched),
            HOME=str(self.home),
            EODAG_EXT_COLLECTIONS_CFG_FILE="",
        )


@pytest.fixture
async def jane(here: Platform, clients_python: Path, tmp_path: Path) -> Eodag:
    """A user who has downloaded the configuration, and added their account."""
    email = new_user(here)
    async with here.client(email) as client:
        answer = await client.get("/api/v1/rs-order/stac/eodag.yml")
    assert answer.headers["Content-Type"].startswith("application/yaml")
    account = f"  auth: &auth\n    credentials: {{username: {email}, password: {PASSWORD}}}\n"
    configuration = tmp_path / ".config/eodag/eodag.yml"
    configuration.parent.mkdir(parents=True)
    configuration.write_text(answer.text.replace("  auth: &auth\n", account), encoding="utf-8")
    user = Eodag(here, clients_python, tmp_path, email)
    user.downloads.mkdir()
    return user


async def ran(python: Path, program: str, *arguments: str, **environment: str) -> dict[str, Any]:
    """Run a program of the clients, and return what it prints."""
    process = await asyncio.create_subprocess_exec(
        *(str(python), str(Path(__file__).with_name(program)), *arguments),
        env={"PATH": os.environ["PATH"], **environment},
        stdout=PIPE,
        stderr=PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    seen: dict[str, Any] = json.loads(output.splitlines()[-1])
    return seen
