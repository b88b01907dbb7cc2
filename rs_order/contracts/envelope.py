"""What wraps the answers of the REST side: content with its links, and pages (rest.md 3.2, 3.3)."""

from typing import Generic, TypeVar

from pydantic import ConfigDict, Field

from rs_order.contracts.wire import WireModel

Content = TypeVar("Content")


class Link(WireModel):
    """Exactly these two: the readers of REGARDS services throw on anything else (rest.md 3.2)."""

    rel: str = Field(examples=["self"])
    href: str = Field(examples=["https://regards.example.org/api/v1/rs-order/user/orders/12"])


class Entity(WireModel, Generic[Content]):
    """One thing, and what can be done with it by the caller."""

    content: Content
    links: list[Link]


class PageMetadata(WireModel):
    """Which page this is."""

    model_config = ConfigDict(populate_by_name=True)

    size: int = Field(examples=[20])
    total_elements: int = Field(alias="totalElements", examples=[41])
    total_pages: int = Field(alias="totalPages", examples=[3])
    number: int = Field(description="Counted from 0.", examples=[1])


class Page(WireModel, Generic[Content]):
    """Some of many things; the link ``next`` is there while there are more."""

    metadata: PageMetadata
    content: list[Entity[Content]]
    links: list[Link]
