"""Which tenants are in maintenance, as the REST side shows it (rest.md 11.2)."""

from pydantic import ConfigDict, Field

from rs_order.contracts.wire import Instant, WireModel


class MaintenanceDto(WireModel):
    """The state of one tenant."""

    model_config = ConfigDict(populate_by_name=True)

    active: bool = Field(examples=[False])
    last_update: Instant = Field(alias="lastUpdate", examples=["2024-01-23T09:21:50.72Z"])
