"""``serve`` says when it is ready and ends in order; ``tenant`` and ``migrate`` prepare for it."""

import asyncio
import signal

import httpx

from tests.cli.commands import line_with, on_broker, rs_order, rs_order_process, started
from tests.support.reused_broker import INSTANCE
from tests.support.servers import FreshBroker

STOP_SECONDS = 30


async def test_ready_then_stopped(platform_broker: FreshBroker, database_url: str) -> None:
    """One line when health says UP; SIGTERM ends it with exit code 0 within 30 s."""
    settings = on_broker(platform_broker) | {
        "amqp_microservice_instance_identifier": INSTANCE,
        "database_url": database_url,
        "http_host": "127.0.0.1",
        "http_port": "0",
    }
    async with started("serve", **settings) as service, httpx.AsyncClient(timeout=60) as client:
        line = await line_with(service, "rs-order is ready")
        url = line.split()[4]
        health = await client.get(f"{url}/actuator/health")

        service.terminate()
        async with asyncio.timeout(STOP_SECONDS):
            await service.communicate()

    assert health.status_code == 200
    assert health.json()["status"] == "UP"
    assert service.returncode == 0


async def test_second_signal_ends_at_once(platform_broker: FreshBroker, database_url: str) -> None:
    """What holds the service up does not hold up whoever insists."""
    settings = on_broker(platform_broker) | {
        "amqp_microservice_instance_identifier": INSTANCE,
        "database_url": database_url,
        "http_host": "127.0.0.1",
        "http_port": "0",
    }
    async with started("serve", **settings) as service:
        url = (await line_with(service, "rs-order is ready")).split()[4]
        host, _, port = url.removeprefix("http://").partition(":")
        # A request that never ends keeps the service from stopping for as long as it is patient.
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /actuator/health HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n")
        await reader.readline()

        service.send_signal(signal.SIGINT)
        await line_with(service, "service-stopping")
        service.terminate()
        await service.communicate()
        writer.close()

    assert service.returncode == -signal.SIGTERM


async def test_tenants_are_added_and_listed(database_url: str) -> None:
    settings = {"database_url": database_url}
    added = await rs_order("tenant", "add", "project1", "--host", "https://one", **settings)
    again = await rs_order("tenant", "add", "project1", "--host", "https://one", **settings)
    await rs_order("tenant", "add", "project0", **settings)
    refused = await rs_order("tenant", "add", "Project-2", **settings)

    listed = await rs_order("tenant", "list", **settings)

    assert (added.code, again.code) == (0, 0)
    assert refused.code == 1
    refused.assert_one_line("'Project-2'", "lower-case")
    assert listed.out == "project0\nproject1\thttps://one\n"


async def test_migrate_by_several_at_once(database_url: str) -> None:
    """Instances that start together all end with the schema of this version."""
    settings = {"database_url": database_url, "tenants": "project1,project2"}

    results = await asyncio.gather(*(rs_order_process("migrate", **settings) for _ in range(3)))

    assert [ended.code for ended in results] == [0, 0, 0], [ended.err for ended in results]
    assert results[0].out == "The platform's schema and those of 2 tenants are up to date\n"


async def test_migrate_after_the_deployment(database_url: str) -> None:
    """The option may be given at any time; without anything that waited it changes nothing."""
    settings = {"database_url": database_url, "tenants": "project1"}
    await rs_order("migrate", **settings)

    ended = await rs_order("migrate", "--after", **settings)

    assert ended.code == 0, ended.err
    assert ended.out == "The platform's schema and those of 1 tenants are up to date\n"
