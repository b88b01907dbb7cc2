"""An endpoint as rs-admin registers it and ``GET /security/resources`` lists it (rest.md 11.6)."""

from pydantic import ConfigDict, Field

from rs_order.contracts.roles import REGISTERED_USER
from rs_order.contracts.wire import WireModel


class ResourceAccess(WireModel):
    """Who may use an endpoint until an administrator says otherwise, and what it does."""

    role: str = Field(examples=[REGISTERED_USER])
    description: str = Field(examples=["Get an order"])


class AuthorizedRole(WireModel):
    """The declared role once more; the members are spelled like this on the wire."""

    model_config = ConfigDict(populate_by_name=True)

    authority: str = Field(alias="autority", examples=[f"ROLE_{REGISTERED_USER}"])
    addresses: list[str] = Field(default=[], alias="authorizedIpAdresses")


class ResourceMapping(WireModel):
    """One endpoint."""

    model_config = ConfigDict(populate_by_name=True)

    access: ResourceAccess = Field(alias="resourceAccess")
    full_path: str = Field(alias="fullPath", examples=["/user/orders/{orderId}"])
    controller: str = Field(alias="controllerSimpleName", examples=["OrderController"])
    method: str = Field(examples=["GET"])
    authorized_roles: list[AuthorizedRole] = Field(alias="authorizedRoles")
