"""Other ``order by`` clauses for a statement: the one place where SQL is put together."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from rs_order.domain.ids import Tenant
from rs_order.store.errors import store_errors
from rs_order.store.pool import Connection, Pool, transaction, use_tenant

Item = TypeVar("Item")
Property = TypeVar("Property", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Listed(Generic[Item]):
    """A part of a list, and how many there are in all of it."""

    total: int
    items: Sequence[Item]


@dataclass(frozen=True, slots=True)
class SortBy(Generic[Property]):
    """What a list is sorted by, as it is shown."""

    property: Property
    descending: bool = False


def sorted_statement(
    statement: str,
    clause: str,
    columns: Mapping[Property, str],
    sort: Sequence[SortBy[Property]],
    *,
    last: str,
) -> str:
    """The statement with its clause replaced by one that sorts as wanted.

    Nothing that anybody sent gets into it: a property stands for one of the columns.

    Args:
        statement: holds ``clause``, once or more.
        clause: as it stands there.
        columns: by property.
        sort: the first weighs most; empty for the statement as it is.
        last: the unique column that decides between equals, in the direction of the last one before.
    """
    if not sort:
        return statement
    terms: dict[str, bool] = {}
    for one in sort:
        terms.setdefault(columns[one.property], one.descending)
    terms.setdefault(last, sort[-1].descending)
    listed = ", ".join(
        f"{column} desc" if descending else column for column, descending in terms.items()
    )
    return statement.replace(clause, f"order by {listed}")


@asynccontextmanager
async def reading(pool: Pool, tenant: Tenant) -> AsyncIterator[Connection]:
    """A connection that reads in a tenant's schema."""
    with store_errors():
        async with transaction(pool, readonly=True) as connection:
            await use_tenant(connection, tenant)
            yield connection
