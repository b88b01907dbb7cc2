"""Asks all tenants' schemas at once, so that the start of a process doesn't take a call for each tenant."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from rs_order.concurrency import together
from rs_order.domain.ids import Tenant
from rs_order.store.errors import store_errors
from rs_order.store.pool import Pool, Row, tenant_schema, transaction

TENANTS_AT_A_TIME: Final = 100
"""The tenants that one transaction asks. It locks the tables that it names, and their indexes."""
PARTS_AT_ONCE: Final = 4
"""Such transactions at the same time, so that the cores of the database share the work."""
_WITH_DATA_RIGHTS: Final = """
select nspname as schema
from pg_namespace
join (
    -- One scan for all schemas: pg_class has no index by schema.
    select relnamespace
    from pg_class
    where relkind = 'r'
    group by relnamespace
    having bool_or(relname = 'schema_version')
       and bool_and((relacl is null and pg_has_role(relowner, 'usage'))
                    or (has_table_privilege(oid, 'select')
                        and (relname = 'schema_version'
                             or (has_table_privilege(oid, 'insert') and has_table_privilege(oid, 'update')
                                 and has_table_privilege(oid, 'delete')))))
) as usable on relnamespace = oid
where nspname = any ($1::text[]) and has_schema_privilege(oid, 'usage')
"""
_APPLIED: Final = """
select array_agg(version order by version) as versions, array_agg(name order by version) as names
from {schema}.schema_version
"""
_TO_RESUME: Final = """
select where exists (select from {schema}.sub_order where state = 'READY')
    or exists (select from {schema}.periodic_run where next_at < $1)
    or exists (select from {schema}.event where position is null)
    or ((exists (select from {schema}.orders) or exists (select from {schema}.order_request))
        and (select count(*) from {schema}.periodic_run
             where name = any ($2::text[]) or (name = $3 and schedule = $4)) <= cardinality($2::text[]))
"""
_WITH_WEBHOOKS: Final = "select where exists (select from {schema}.webhook)"


async def applied_migrations(pool: Pool, tenants: Sequence[Tenant]) -> dict[Tenant, dict[int, str]]:
    """Return the names of the applied migrations by number, of those tenants whose data the role may use."""
    by_schema = {tenant_schema(tenant): tenant for tenant in tenants}
    async with transaction(pool, readonly=True) as connection:
        usable = await connection.fetch(_WITH_DATA_RIGHTS, list(by_schema))
    rows = await _of_each(pool, [by_schema[row["schema"]] for row in usable], _APPLIED)
    return {
        Tenant(row["tenant"]): dict(zip(row["versions"] or (), row["names"] or (), strict=True))
        for row in rows
    }


async def tenants_to_resume(
    pool: Pool,
    tenants: Sequence[Tenant],
    now: datetime,
    *,
    runs: Sequence[str],
    scheduled_run: str,
    schedule: str,
) -> list[Tenant]:
    """Return the tenants with work that nothing plans, or with periodic runs to begin.

    Args:
        pool: the connections.
        tenants: the tenants to ask.
        now: a run that was due before is missed.
        runs: the periodic runs of each tenant that was used.
        scheduled_run: a further one, which depends on a schedule.
        schedule: its schedule.
    """
    rows = await _of_each(pool, tenants, _TO_RESUME, now, list(runs), scheduled_run, schedule)
    return [Tenant(row["tenant"]) for row in rows]


async def tenants_with_webhooks(pool: Pool, tenants: Sequence[Tenant]) -> list[Tenant]:
    """Return the tenants that have a webhook.

    Raises:
        StoreUnavailable: the database can't be reached.
    """
    with store_errors():
        rows = await _of_each(pool, tenants, _WITH_WEBHOOKS, forget=False)
    return [Tenant(row["tenant"]) for row in rows]


async def _of_each(
    pool: Pool, tenants: Sequence[Tenant], query: str, *parameters: Any, forget: bool = True
) -> list[Row]:
    """Return the rows of a query in all schemas, each with its tenant.

    ``forget``: ask on several connections, and close them after many tenants. A query that names one table,
    again and again, keeps its connection.
    """

    async def ask(part: Sequence[Tenant]) -> list[Row]:
        statement = " union all ".join(
            f"select '{tenant}' as tenant, found.* from ({_in_schema(query, tenant)}) as found"  # noqa: S608 - a checked name
            for tenant in part
        )
        async with transaction(pool, readonly=True) as connection:
            rows: list[Row] = await connection.fetch(statement, *parameters)
        return rows

    answers = await together(
        (ask(part) for part in _parts(tenants)), at_once=PARTS_AT_ONCE if forget else 1
    )
    if forget and len(tenants) > TENANTS_AT_A_TIME:
        await pool.expire_connections()  # the server's process remembers the tables of all tenants
    return [row for rows in answers for row in rows]


def _in_schema(query: str, tenant: Tenant) -> str:
    return query.format(schema=tenant_schema(tenant))


def _parts(tenants: Sequence[Tenant]) -> Iterator[Sequence[Tenant]]:
    for start in range(0, len(tenants), TENANTS_AT_A_TIME):
        yield tenants[start : start + TENANTS_AT_A_TIME]
