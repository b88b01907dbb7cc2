"""The members of each type of event, as tests/stateful/checks.sql takes them."""

from typing import Final

import orjson

from rs_order.contracts.event_bodies import MEMBERS

EVENT_MEMBERS: Final = orjson.dumps(
    {type_.value: members for type_, members in MEMBERS.items()}
).decode()
