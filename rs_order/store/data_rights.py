"""The rights on data alone, with which ``rs-order serve`` can run (decision 0030)."""

import asyncpg

from rs_order.store.pool import PLATFORM_SCHEMA, Connection, Pool, transaction

_RECORDED = """
select exists (select from pg_class
               where relname = 'schema_version' and relnamespace = to_regnamespace($1::text))
"""
_LACKS_RIGHTS = """
select not has_schema_privilege($1::text, 'usage') or exists (
    -- pg_class has no index by schema, so it would be read whole for each new tenant.
    select from pg_depend
    join pg_class on pg_class.oid = objid
    where refclassid = 'pg_namespace'::regclass and refobjid = to_regnamespace($1::text)
      and classid = 'pg_class'::regclass and relkind = 'r' and relname <> 'schema_version'
      and not (has_table_privilege(objid, 'select') and has_table_privilege(objid, 'insert')
               and has_table_privilege(objid, 'update') and has_table_privilege(objid, 'delete')))
"""
_SCHEMAS = """
select nspname as name from pg_namespace
where nspname = $1 or nspname in (select 'order_' || name from rs_order.tenant)
"""
_ON_SCHEMA = (
    "grant usage on schema {schema} to {role}",
    "grant select, insert, update, delete on all tables in schema {schema} to {role}",
    "revoke insert, update, delete on {schema}.schema_version from {role}",
    "grant usage on all sequences in schema {schema} to {role}",
    "grant execute on all functions in schema {schema} to {role}",
)
_ON_WHAT_IS_CREATED = (
    "alter default privileges grant usage on schemas to {role}",
    "alter default privileges grant select, insert, update, delete on tables to {role}",
    "alter default privileges grant usage on sequences to {role}",
    "alter default privileges grant execute on functions to {role}",
)


class UnknownRoleError(Exception):
    """The database has no role of this name."""

    code = "unknown-role"


async def recorded_migrations(connection: Connection, schema: str) -> dict[int, str] | None:
    """Return the names of the migrations that a schema records, by number; none for a schema to create.

    None is returned if the role may not read them.
    """
    async with connection.transaction():
        if not await connection.fetchval(_RECORDED, schema):
            return {}
    try:
        async with connection.transaction():
            rows = await connection.fetch(f"select version, name from {schema}.schema_version")  # noqa: S608 - a checked name
    except asyncpg.InsufficientPrivilegeError:
        return None
    return {row["version"]: row["name"] for row in rows}


async def lacks_rights(connection: Connection, schema: str) -> bool:
    """True if the role can't read and write every table of a schema."""
    async with connection.transaction():
        return bool(await connection.fetchval(_LACKS_RIGHTS, schema))


async def role_of(connection: Connection) -> str:
    """Return the role of a connection."""
    async with connection.transaction():
        return str(await connection.fetchval("select current_user"))


async def grant_data_rights(pool: Pool, role: str) -> None:
    """Grant a role the rights on the data of all schemas, and of all that the present role creates later.

    Raises:
        UnknownRoleError: there is no such role.
    """
    async with transaction(pool) as connection:
        quoted = await connection.fetchval("select quote_ident($1)", role)
        schemas = [row["name"] for row in await connection.fetch(_SCHEMAS, PLATFORM_SCHEMA)]
        statements = [
            text.format(schema=schema, role=quoted) for schema in schemas for text in _ON_SCHEMA
        ]
        statements += [text.format(role=quoted) for text in _ON_WHAT_IS_CREATED]
        try:
            for statement in statements:
                await connection.execute(statement)
        except asyncpg.UndefinedObjectError as error:
            raise UnknownRoleError(
                f"There is no role {role} in the database: create it, then repeat the command"
            ) from error
