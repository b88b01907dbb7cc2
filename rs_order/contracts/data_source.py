"""The database behind a tenant, as the REST side shows it (rest.md 11.4)."""

from pydantic import ConfigDict, Field

from rs_order.contracts.wire import WireModel


class ConnectionProperties(WireModel):
    """How the process that answers uses its connections."""

    model_config = ConfigDict(populate_by_name=True)

    most: int = Field(alias="Max connections", examples=[20])
    fewest: int = Field(alias="Min idle connections", examples=[1])
    idle_milliseconds: int = Field(alias="Idle timeout", examples=[300_000])
    open: int = Field(alias="Total connections", examples=[3])
    idle: int = Field(alias="Idle connections", examples=[2])
    active: int = Field(alias="Active connection", examples=[1])


class DataSourceStatus(WireModel):
    """The use of connections."""

    properties: ConnectionProperties


class DataSourceTest(WireModel):
    """What a test of a tenant's database came to."""

    message: str = Field(examples=["The database of project1 answers"])
    properties: dict[str, int] = Field(examples=[{}])
