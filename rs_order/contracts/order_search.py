"""SearchRequestParameters: which orders of all users are looked for (rest.md 8.1)."""

from typing import Annotated

from pydantic import Field

from rs_order.contracts.wire import DropNulls, Flag, Instant, Text, WireModel


class ValuesRestriction(WireModel):
    """Values to be among, or not to be among."""

    values: Annotated[list[Text] | None, DropNulls] = Field(
        None, description="At most 1000; unknown ones don't count.", examples=[["DONE", "FAILED"]]
    )
    mode: Text | None = Field(None, description="`INCLUDE` or `EXCLUDE`.", examples=["INCLUDE"])
    match_mode: Text | None = Field(
        None, alias="matchMode", description="Without effect on statuses.", examples=["STRICT"]
    )
    ignore_case: Flag | None = Field(
        None, alias="ignoreCase", description="Without effect on statuses.", examples=[True]
    )


class DatesRangeRestriction(WireModel):
    """From one instant to another, both included; each may be absent."""

    after: Instant | None = Field(None, examples=["2024-01-01T00:00:00.000Z"])
    before: Instant | None = Field(None, examples=["2034-12-31T23:59:59.999Z"])


class SearchRequestParameters(WireModel):
    """Restrictions that all hold; ``{}`` finds every order."""

    owner: Text | None = Field(
        None, description="A part of the owner's e-mail, as it is written.", examples=["jane"]
    )
    statuses: ValuesRestriction | None = None
    creation_date: DatesRangeRestriction | None = Field(None, alias="creationDate")
    waiting_for_user: Flag | None = Field(None, alias="waitingForUser", examples=["true"])
