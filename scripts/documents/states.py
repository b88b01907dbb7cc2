"""``docs/states.md``: the states of the domain with their meanings, and the moves of an order."""

import ast
import inspect
import re
from collections.abc import Iterable
from enum import StrEnum

from rs_order.domain import states as source
from rs_order.domain.states import (
    ORDER_MOVES,
    FileState,
    OrderStatus,
    SubOrderKind,
    SubOrderState,
)
from scripts.documents.markdown import generated_from, table

_INTRODUCTION = """\
# States

{mark}

The tables repeat what `rs_order/domain/states.py` says. The database holds the same words in CHECK
constraints, and the moves of an order in the table `order_move`, which a trigger obeys
([decision 0011](decisions/0011-moves-enforced-by-a-trigger.md)).

## Moves of an order

```mermaid
{diagram}
```

An order is *final* in {final}: its peers were told the end. It is *gone* in {gone}: its files are
deleted, and nothing that arrives can change it."""


def states() -> str:
    introduction = _INTRODUCTION.format(
        mark=generated_from("`rs_order/domain/states.py`"),
        diagram=_diagram(),
        final=_listed(status for status in OrderStatus if status.final),
        gone=_listed(status for status in OrderStatus if status.gone),
    )
    kinds: tuple[tuple[str, type[StrEnum]], ...] = (
        ("Status of an order", OrderStatus),
        ("State of a sub-order", SubOrderState),
        ("Kind of a sub-order", SubOrderKind),
        ("State of a data file", FileState),
    )
    sections = [f"## {title}\n\n{_meanings(kind)}" for title, kind in kinds]
    return "\n\n".join([introduction, *sections]) + "\n"


def _diagram() -> str:
    """A mermaid picture, in the order of the enumeration."""
    moves = [
        f"    {before} --> {after}"
        for before in OrderStatus
        for after in OrderStatus
        if after in ORDER_MOVES[before]
    ]
    ends = [f"    {status} --> [*]" for status in OrderStatus if not ORDER_MOVES[status]]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {OrderStatus.PENDING}", *moves, *ends])


def _meanings(kind: type[StrEnum]) -> str:
    said = _docstrings(kind.__name__)
    return table(
        ["Value", "Meaning"], ([f"`{member}`", said.get(member.name, "")] for member in kind)
    )


def _docstrings(class_name: str) -> dict[str, str]:
    """What is written below each member, which Python itself doesn't keep."""
    tree = ast.parse(inspect.getsource(source))
    (found,) = (n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == class_name)
    said: dict[str, str] = {}
    member = ""
    for node in found.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)]):
                member = name
            case ast.Expr(value=ast.Constant(value=str() as text)) if member:
                said[member] = re.sub(r"``", "`", " ".join(text.split()))
    return said


def _listed(statuses: Iterable[OrderStatus]) -> str:
    return ", ".join(f"`{status}`" for status in statuses)
