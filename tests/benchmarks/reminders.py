"""Measures a run of reminders: time and memory of the service until every owner has a mail.

python -m tests.benchmarks.reminders [--orders N] [--owners N]
"""

# ruff: noqa: T201 - a measurement prints its figures

import argparse
import asyncio
import time

import asyncpg

from rs_order.sandbox.faults import Service
from tests.benchmarks.deployment import TENANT, Deployment, running_deployment

_EVERY_MINUTE = "0 * * * * *"
_FILL = """
insert into orders (owner, role, label, correlation_id, status, sub_order_hours, expires_at,
    available_files, available_at)
select 'user' || n % {owners} || '@example.org', 'REGISTERED_USER', 'label ' || n, 'c', 'DONE', 240,
       now() + interval '7 days', 1, now() - interval '80 hours'
from generate_series(1, {orders}) n;
analyze orders
"""

_LEFT = "select count(*) from orders where available_at < now() - interval '1 day'"


async def measure(orders: int, owners: int) -> None:
    async with running_deployment(
        periodic_files_availability_check_cron=_EVERY_MINUTE
    ) as deployment:
        connection = await asyncpg.connect(deployment.servers.database_url)
        await connection.execute(f"set search_path to order_{TENANT}")
        await connection.execute(_FILL.format(orders=orders, owners=owners))
        idle = deployment.resident_mib()
        await _until_first_mail(deployment)
        began = time.monotonic()
        while await connection.fetchval(  # noqa: ASYNC110 - another process does it
            "select count(*) from orders where available_at < now() - interval '1 day'"
        ):
            await asyncio.sleep(0.2)
        took = time.monotonic() - began
        sent = deployment.sandbox.calls.counters[Service.ADMIN_INSTANCE]
        await connection.close()
        print(
            f"{orders:,} orders of {owners:,} owners: {sent:,} mails in {took:.1f} s"
            f" ({sent / took:,.0f}/s)\n"
            f"resident: {idle:.0f} MiB before, {deployment.highest_resident_mib():.0f} MiB at most"
        )


async def _until_first_mail(deployment: Deployment) -> None:
    await deployment.sandbox.calls.wait_for(Service.ADMIN_INSTANCE, 1, timeout_seconds=180)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=100_000)
    parser.add_argument("--owners", type=int, default=10_000)
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.orders, arguments.owners))
