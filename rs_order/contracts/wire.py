"""How peers write JSON (amqp.md 1.8): what is absent is null, unknown members are ignored."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

INT64 = 2**63 - 1


def _text(value: Any) -> Any:
    """A number or boolean is accepted for a string."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _without_nulls(value: Any) -> Any:
    """Null items of a list are dropped on read."""
    return [item for item in value if item is not None] if isinstance(value, list) else value


Text = Annotated[str, BeforeValidator(_text)]
Long = Annotated[int, Field(ge=-INT64 - 1, le=INT64)]
"""A 64-bit integer; a quoted one is accepted."""
DropNulls = BeforeValidator(_without_nulls)


class WireModel(BaseModel):
    """A message or part of one, with the member names of the wire."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    def to_wire(self) -> dict[str, Any]:
        """JSON-ready, nulls left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
