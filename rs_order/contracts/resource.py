"""An endpoint as rs-admin registers it (rest.md 11.6); two names are misspelt by the platform."""

from pydantic import ConfigDict, Field

from rs_order.contracts.wire import WireModel


class ResourceAccess(WireModel):
    """Who may use an endpoint to begin with."""

    role: str = Field(examples=["REGISTERED_USER"])
    description: str = Field(examples=["Get an order"])


class AuthorizedRole(WireModel):
    """A role, as Spring names it."""

    model_config = ConfigDict(populate_by_name=True)

    autority: str = Field(examples=["ROLE_REGISTERED_USER"])
    authorized_ip_addresses: list[str] = Field(
        default_factory=list, alias="authorizedIpAdresses", examples=[[]]
    )


class ResourceMapping(WireModel):
    """One endpoint."""

    model_config = ConfigDict(populate_by_name=True)

    resource_access: ResourceAccess = Field(alias="resourceAccess")
    full_path: str = Field(alias="fullPath", examples=["/user/orders/{orderId}"])
    controller_simple_name: str = Field(alias="controllerSimpleName", examples=["OrderController"])
    method: str = Field(examples=["GET"])
    authorized_roles: list[AuthorizedRole] = Field(alias="authorizedRoles")
