"""Other ``order by`` clauses for a statement: the one place where SQL is put together."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TypeVar

from rs_order.ports.views import SortBy

Property = TypeVar("Property", bound=StrEnum)


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
