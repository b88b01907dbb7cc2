"""Generates ``docs/states.md``: the states with their meanings, and the moves of orders and sub-orders."""

import ast
import inspect
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import ModuleType
from typing import TypeVar

from rs_order.domain import moves as moves_source
from rs_order.domain import states as states_source
from rs_order.domain.moves import CAUSED_BY, ORDER_MOVES, SUB_ORDER_MOVES, Reason
from rs_order.domain.states import FileState, OrderStatus, SubOrderKind, SubOrderState
from scripts.documents.markdown import generated_from, table

State = TypeVar("State", bound=StrEnum)
Machine = Mapping[State, Mapping[State, tuple[Reason, ...]]]

_INTRODUCTION = """\
# States

{mark}

The tables come from `rs_order/domain/states.py` and `moves.py`. The database has the same values in CHECK
constraints, and the moves in the tables `order_move` and `sub_order_move`, which triggers enforce
([decision 0011](decisions/0011-moves-enforced-by-a-trigger.md)). The reasons are the codes in the table
`history`; its actor is an e-mail if a person caused the move.

## Moves of an order

```mermaid
{order_diagram}
```

An order is *final* in {final}: its peers were notified of the end. In {without_files} its files
are deleted, and no message can change it any more. An administrator removes a deleted order (`removed`);
its history stays.

{order_moves}

## Moves of a sub-order

```mermaid
{sub_order_diagram}
```

A sub-order is deleted with the files of its order, or when a retry leaves it without files.

{sub_order_moves}

## Reasons

{reasons}"""


def states() -> str:
    introduction = _INTRODUCTION.format(
        mark=generated_from("`rs_order/domain/states.py` and `moves.py`"),
        order_diagram=_diagram(OrderStatus, ORDER_MOVES),
        order_moves=_moves(OrderStatus, ORDER_MOVES),
        sub_order_diagram=_diagram(SubOrderState, SUB_ORDER_MOVES),
        sub_order_moves=_moves(SubOrderState, SUB_ORDER_MOVES),
        reasons=_reasons(),
        final=_listed(status for status in OrderStatus if status.final),
        without_files=_listed(status for status in OrderStatus if status.deleted_or_expired),
    )
    kinds: tuple[tuple[str, type[StrEnum]], ...] = (
        ("Status of an order", OrderStatus),
        ("State of a sub-order", SubOrderState),
        ("Kind of a sub-order", SubOrderKind),
        ("State of a data file", FileState),
    )
    sections = [f"## {title}\n\n{_meanings(kind)}" for title, kind in kinds]
    return "\n\n".join([introduction, *sections]) + "\n"


def _pairs(kind: type[State], machine: Machine[State]) -> list[tuple[State, State]]:
    """Return all moves, in the order of the enumeration."""
    return [(before, after) for before in kind for after in kind if after in machine[before]]


def _diagram(kind: type[State], machine: Machine[State]) -> str:
    """Return a mermaid diagram that begins with the first state."""
    moves = [f"    {before} --> {after}" for before, after in _pairs(kind, machine)]
    ends = [f"    {state} --> [*]" for state in kind if not machine[state]]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {next(iter(kind))}", *moves, *ends])


def _moves(kind: type[State], machine: Machine[State]) -> str:
    return table(
        ["From", "To", "Why", "Caused by"],
        (
            [f"`{before}`", f"`{after}`", _codes(reasons), _causers(reasons)]
            for before, after in _pairs(kind, machine)
            for reasons in [machine[before][after]]
        ),
    )


def _codes(reasons: Iterable[Reason]) -> str:
    return (
        ", ".join(f"`{reason}`" for reason in reasons)
        or "only in the contract; the service never makes it"
    )


def _causers(reasons: Iterable[Reason]) -> str:
    return ", ".join(dict.fromkeys(str(party) for reason in reasons for party in CAUSED_BY[reason]))


def _reasons() -> str:
    meanings = _docstrings(moves_source, Reason.__name__)
    return table(
        ["Code", "Meaning", "Caused by"],
        ([f"`{reason}`", meanings[reason.name], _causers([reason])] for reason in Reason),
    )


def _meanings(kind: type[StrEnum]) -> str:
    meanings = _docstrings(states_source, kind.__name__)
    return table(
        ["Value", "Meaning"], ([f"`{member}`", meanings.get(member.name, "")] for member in kind)
    )


def _docstrings(module: ModuleType, class_name: str) -> dict[str, str]:
    """Return the docstring of each member by its name. Python itself doesn't keep them."""
    tree = ast.parse(inspect.getsource(module))
    (found,) = (n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == class_name)
    meanings: dict[str, str] = {}
    member = ""
    for node in found.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)]):
                member = name
            case ast.Expr(value=ast.Constant(value=str() as text)) if member:
                meanings[member] = re.sub(r"``", "`", " ".join(text.split()))
    return meanings


def _listed(statuses: Iterable[OrderStatus]) -> str:
    return ", ".join(f"`{status}`" for status in statuses)
