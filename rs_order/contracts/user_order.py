"""OrderRequest: what a person says of an order that is made of a basket (rest.md 7.1)."""

from typing import Annotated

from pydantic import Field, StringConstraints

from rs_order.contracts.wire import Text, WireModel

_Printable = Annotated[Text, StringConstraints(pattern=r"^[^\x00]*$")]
"""PostgreSQL keeps no NUL."""


class UserOrderRequest(WireModel):
    """Everything may be left out."""

    label: _Printable | None = Field(
        None,
        description=(
            "At most 50 characters, and none that another order of the same owner has. Empty or absent: "
            "`Order of yyyy/MM/dd at HH:mm:ss`."
        ),
        examples=["Winter storms"],
    )
    on_success_url: _Printable | None = Field(
        None,
        alias="onSuccessUrl",
        description="Path in the web interface, for the mail that confirms the order; absent: no mail.",
        examples=["/user/demo/modules/12"],
    )
