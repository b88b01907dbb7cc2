"""Measures how much of PostgreSQL's time is planning, for orders of one file from the request to DONE.

    python -m tests.benchmarks.planning [--one-by-one N] [--waiting N]

The times come from the extension ``pg_stat_statements``. It must be loaded when PostgreSQL starts, and costs
time in each statement. So this isn't a part of ``end-to-end``, and needs a private server, which it restarts.
"""

# ruff: noqa: T201 - a measurement prints its figures

import argparse
import asyncio
import os

import asyncpg

from rs_order.demo.servers.lifecycle import Servers, running_servers
from tests.benchmarks.end_to_end import EndToEnd
from tests.benchmarks.servers import benchmark_servers, server_addresses

LISTED = 5
_TIMES = """
select
    left(regexp_replace(query, '\\s+', ' ', 'g'), 70) as statement,
    sum(plans)::bigint as plans,
    sum(calls)::bigint as calls,
    sum(total_plan_time) as planning_ms,
    sum(total_exec_time) as execution_ms
from pg_stat_statements
where dbid = (select oid from pg_database where datname = current_database())
group by 1
order by planning_ms desc
"""


async def measure(one_by_one: int, waiting: int) -> None:
    """Print the share of planning of orders one by one, and of orders that wait in a queue."""
    async with running_servers(durable=True) as private:
        await _observe_planning(private)
        os.environ.update(server_addresses(private))
        async with (
            benchmark_servers() as servers,
            servers.database() as url,
            EndToEnd.running(servers, url) as orders,
        ):
            observer = await asyncpg.connect(url)
            await observer.execute("create extension pg_stat_statements")
            await orders.one_by_one("before", one_by_one)
            await orders.waiting("before", waiting)
            await _reset(observer)
            await orders.one_by_one("measured", one_by_one)
            await _print(observer, f"{one_by_one} orders one by one", one_by_one)
            await _reset(observer)
            await orders.waiting("measured", waiting)
            await _print(observer, f"{waiting:,} orders that waited in a queue", waiting)
            await observer.close()


async def _observe_planning(servers: Servers) -> None:
    """Restart PostgreSQL with the extension that measures statements.

    Raises:
        NotOursError: the server was given by URL.
    """
    await _set(servers, "shared_preload_libraries = 'pg_stat_statements'")
    await servers.database.restart()
    await _set(servers, "pg_stat_statements.track_planning = on")  # known since the restart


async def _set(servers: Servers, setting: str) -> None:
    admin = await asyncpg.connect(servers.database_url)
    await admin.execute(f"alter system set {setting}")
    await admin.execute("select pg_reload_conf()")
    await admin.close()


async def _reset(observer: asyncpg.Connection) -> None:
    await observer.execute("select pg_stat_statements_reset()")


async def _print(observer: asyncpg.Connection, title: str, orders: int) -> None:
    rows = await observer.fetch(_TIMES)
    planning, execution, plans, calls = (
        sum(row[name] for row in rows) for name in ("planning_ms", "execution_ms", "plans", "calls")
    )
    share = planning / (planning + execution)
    print(
        f"{title}: {share:.1%} of the time in the database is planning;"
        f" {planning / orders:.2f} of {(planning + execution) / orders:.2f} ms,"
        f" {plans / orders:.1f} plans for {calls / orders:.1f} statements per order"
    )
    for row in rows[:LISTED]:
        print(
            f"    {row['planning_ms'] / orders:6.3f} ms, {row['plans'] / orders:5.2f} plans:"
            f" {row['statement']}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--one-by-one", type=int, default=100)
    parser.add_argument("--waiting", type=int, default=2000)
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.one_by_one, arguments.waiting))


if __name__ == "__main__":
    main()
