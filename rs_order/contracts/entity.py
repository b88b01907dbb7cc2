"""The wrapper of one thing on the REST side (rest.md 3.2), for the documentation of answers."""

from typing import Generic, TypeVar

from pydantic import Field

from rs_order.contracts.wire import WireModel

Content = TypeVar("Content")


class Link(WireModel):
    """What else can be done with it; present only where the caller may."""

    rel: str = Field(examples=["self"])
    href: str = Field(examples=["https://example.org/api/v1/rs-order/settings"])


class Entity(WireModel, Generic[Content]):
    """A thing and its links."""

    content: Content
    links: list[Link]
