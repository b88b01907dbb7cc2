"""Roles that own nothing serve whole orders, and each right that is missing is named (F13, decision 0030)."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from pydantic import SecretStr

from rs_order.demo.servers.lifecycle import Servers
from rs_order.demo.servers.management_api import Management
from rs_order.store.data_rights import UnknownRoleError, grant_data_rights
from rs_order.store.migrate import MigrationError, migrate_platform
from rs_order.store.pool import Pool, open_pool
from rs_order.store.tenants import Tenants
from rs_order.tenants.connect import LONGEST_CAUSE
from tests.acceptance.archives import twelve_files
from tests.acceptance.platform import TENANT, running_platform
from tests.cli.commands import rs_order
from tests.integration.moving_in.java_database import java_database
from tests.support.clock import NOW
from tests.support.quorum_queues import delete_quorum_queues
from tests.support.servers import FreshBroker, fresh_database, fresh_role

OPERATIONS = (Path(__file__).parents[2] / "docs/operations.md").read_text(encoding="utf-8")
USER = "least-privilege"


@dataclass(frozen=True)
class Roles:
    """An empty database with an owner, and a role of the service that has no right yet."""

    owner_url: str
    service: str
    service_url: str


@asynccontextmanager
async def two_roles(admin: asyncpg.Connection, server_url: str) -> AsyncIterator[Roles]:
    async with (
        fresh_role(admin) as owner,
        fresh_role(admin) as service,
        fresh_database(admin, server_url) as url,
    ):
        await admin.execute(f"alter database {urlsplit(url).path[1:]} owner to {owner}")
        yield Roles(_as(url, owner), service, _as(url, service))


@pytest.fixture
async def roles(servers: Servers, _database_admin: asyncpg.Connection) -> AsyncIterator[Roles]:
    async with two_roles(_database_admin, servers.database_url) as found:
        yield found


@pytest.fixture(scope="module")
async def migrated(servers: Servers, _database_admin: asyncpg.Connection) -> AsyncIterator[Roles]:
    """The owner has migrated the schemas and granted the rights."""
    async with two_roles(_database_admin, servers.database_url) as found:
        async with await open_pool(found.owner_url, size=2) as owner:
            await migrate_platform(owner)
            await Tenants(owner).add(TENANT)
            await grant_data_rights(owner, found.service)
        yield found


@pytest.fixture
async def owner(migrated: Roles) -> AsyncIterator[Pool]:
    async with await open_pool(migrated.owner_url, size=2) as pool:
        yield pool


@pytest.fixture
async def service(migrated: Roles) -> AsyncIterator[Pool]:
    async with await open_pool(migrated.service_url, size=2) as pool:
        yield pool


@pytest.fixture
async def least_broker(
    platform_broker: FreshBroker, _management: Management
) -> AsyncIterator[FreshBroker]:
    """The virtual hosts of this test, for a user with the permissions in docs/operations.md."""
    hosts = (platform_broker.vhost, platform_broker.instance_vhost)
    await _management.create_user(USER, "secret", documented_permissions(), hosts)
    yield replace(platform_broker, url=_as(platform_broker.url, USER))
    await _management.delete_user(USER)


def _as(url: str, user: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{user}:secret@{parts.netloc.rpartition('@')[2]}").geturl()


def documented_permissions() -> dict[str, str]:
    """Return the permissions of the service's account, as the table says."""
    (line,) = re.findall(r"^\| rs_order \|.*$", OPERATIONS, re.MULTILINE)
    configure, write, read = re.findall(r"`(.*?)`", line)
    return {
        name: text.replace(r"\|", "|")
        for name, text in {"configure": configure, "write": write, "read": read}.items()
    }


@pytest.mark.parametrize("queues", ["compatible", "quorum"])
async def test_a_whole_order(
    migrated: Roles,
    platform_broker: FreshBroker,
    least_broker: FreshBroker,
    tmp_path: Path,
    queues: str,
) -> None:
    """Accepted, restored, announced and downloaded. The service also declares the queues of its instance.

    For the other queues it also declares exchanges, and binds them (decision 0037).
    """
    archive = twelve_files(tmp_path).write()
    async with running_platform(platform_broker, migrated.service_url, archive=archive) as platform:
        limited = SecretStr(least_broker.url)
        async with platform.service(
            amqp_url=limited, amqp_microservice_instance_identifier="least", queues=queues
        ):
            correlation_id = await platform.peer.order("*")
            final = await platform.peer.until_final(correlation_id)
            files = await platform.zip_of(final.body["orderId"])
    await delete_quorum_queues(platform_broker)

    assert final.status == "DONE"
    assert len(files) == 12


async def test_tenants_that_the_owner_adds_later(
    migrated: Roles, owner: Pool, service: Pool
) -> None:
    """Their schemas have the rights from the first statement on; the role activates the tenant itself."""
    await Tenants(owner).add("later")
    tenants = Tenants(service)

    assert await tenants.activate("later", NOW)
    assert tenants.serves("later")


async def test_a_tenant_without_a_schema(service: Pool) -> None:
    """The cause is reported to rs-admin-instance, which takes 200 characters, and names the command."""
    with pytest.raises(MigrationError, match="'rs-order tenant add NAME'") as failed:
        await Tenants(service).activate("n" * 30, NOW)

    assert len(str(failed.value)) <= LONGEST_CAUSE
    assert str(failed.value).startswith(f"Schema order_{'n' * 30} isn't migrated")


async def test_an_import_needs_the_owner(migrated: Roles, owner: Pool, servers: Servers) -> None:
    """It raises sequences. Another role is refused before anything has changed."""
    await Tenants(owner).add("imported")
    is_active = "select active from rs_order.tenant where name = 'imported'"
    async with java_database(servers.database_url) as (url, _):
        command = ("import-java", "--from", url, "--tenant", "imported")
        refused = await rs_order(*command, database_url=migrated.service_url)
        active_after_refusal = await owner.fetchval(is_active)
        imported = await rs_order(*command, database_url=migrated.owner_url)

    assert refused.code == 1
    refused.assert_one_line("may not raise the sequences of the tenant imported", "owns its schema")
    assert active_after_refusal
    assert imported.code == 0, imported.err


@pytest.mark.parametrize(
    "statement",
    [
        "truncate rs_order.audit",
        "drop table rs_order.outbox",
        "alter table rs_order.audit disable trigger all",
        "create table rs_order.mine ()",
        "create schema mine",
        "delete from rs_order.schema_version",
        "create role other",
    ],
)
async def test_the_service_owns_nothing(service: Pool, statement: str) -> None:
    async with service.acquire() as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)


async def test_an_empty_database(roles: Roles) -> None:
    async with await open_pool(roles.service_url, size=1) as service:
        with pytest.raises(
            MigrationError, match="Schema rs_order isn't migrated: run 'rs-order migrate'"
        ):
            await migrate_platform(service)


async def test_rights_that_are_missing(roles: Roles) -> None:
    """Without any, and without those on one table, the start names the command that grants them."""
    advice = f"run 'rs-order migrate --grant-to {roles.service}' with the role that owns it"
    async with (
        await open_pool(roles.owner_url, size=1) as owner,
        await open_pool(roles.service_url, size=1) as service,
    ):
        await migrate_platform(owner)
        with pytest.raises(MigrationError, match=advice):
            await migrate_platform(service)
        await grant_data_rights(owner, roles.service)
        await migrate_platform(service)
        await owner.execute(f"revoke delete on rs_order.outbox from {roles.service}")
        with pytest.raises(MigrationError, match=advice):
            await migrate_platform(service)


async def test_a_role_that_does_not_exist(owner: Pool) -> None:
    with pytest.raises(UnknownRoleError, match="no role nobody in the database: create it"):
        await grant_data_rights(owner, "nobody")


async def test_the_command_grants(migrated: Roles) -> None:
    """``rs-order migrate --grant-to`` may be repeated, and prints what it did."""
    granted = await rs_order(
        "migrate", "--grant-to", migrated.service, database_url=migrated.owner_url
    )

    assert granted.out.endswith(f"Role {migrated.service} can run rs-order serve\n"), granted.err
