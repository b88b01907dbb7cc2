"""The bodies of STAC: catalogs, collections and items, searches, and orders of items (faces.md 2)."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from rs_order.contracts.subscription_bodies import NotifyRequest
from rs_order.contracts.wire import Flag, Instant, Text, WireModel

MOST_ITEMS: Final = 1000
LONGEST_ITEM: Final = 128
UNSUPPORTED: Final = ("bbox", "intersects", "datetime", "query", "filter", "sortby")
"""Conditions of searches that only a catalog knows: where and when products are from."""


def _single(value: Any) -> Any:
    """Return the value in a list of one: clients may have parsed a query string (S-5)."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _listed(value: Any) -> Any:
    """Return a list: one text stands for a list of it."""
    return [value] if isinstance(value, str | int | float) else value


Single = BeforeValidator(_single)
Listed = BeforeValidator(_listed)
Items = Annotated[list[Text], Listed]


class StacFeature(WireModel):
    """A product as a search found it; only its id counts."""

    id: Text = Field(examples=["URN:AIP:DATA:p1:0e8c3f1e-7a1f-3a44-8d9c-1b1f8a7f1a00:V1"])


class ItemOrderRequest(WireModel):
    """The products to order: ids, what a search found, or a quote."""

    model_config = ConfigDict(populate_by_name=True)

    items: Items | None = Field(
        None,
        description="Ids of products: URNs, or names of their providers, of which the last version is "
        f"ordered. 1 to {MOST_ITEMS}, of at most {LONGEST_ITEM} characters.",
        examples=[["URN:AIP:DATA:p1:0e8c3f1e-7a1f-3a44-8d9c-1b1f8a7f1a00:V1"]],
    )
    type: Annotated[Text | None, Single] = Field(
        None, description="`Feature` and `FeatureCollection` are ordered by their ids."
    )
    id: Annotated[Text | None, Single] = Field(None, description="Of a `Feature`.")
    features: list[StacFeature] | None = Field(None, description="Of a `FeatureCollection`.")
    data_types: Annotated[list[Literal["RAWDATA", "QUICKLOOK"]] | None, Listed] = Field(
        None, alias="dataTypes", description="By default RAWDATA.", examples=[["RAWDATA"]]
    )
    filename_reg_exp: Annotated[Text | None, Single] = Field(
        None, alias="filenameRegExp", examples=[".*\\.nc"]
    )
    label: Annotated[Text | None, Single] = Field(
        None, description="By default one is generated.", examples=["spring 2025"]
    )
    quote_id: Annotated[Text | None, Single] = Field(
        None,
        alias="quoteId",
        description="Order this quote; then no items.",
        examples=["q-12"],
    )
    reuse: Annotated[Flag, Single] = Field(
        True,
        description="An equal order of the caller is the answer, if its files can be downloaded for another "
        "hour or are on their way. `false` makes a new order.",
    )
    notify: NotifyRequest | None = Field(
        None,
        description="A webhook for the events of the order, made with it: a new order has its id and secret "
        "in `rsorder:notify`. One that is reused gets none.",
    )

    @property
    def ids(self) -> list[str]:
        """The ids, each once, in their order."""
        match self.type:
            case "Feature" if self.id is not None:
                found = [self.id]
            case "FeatureCollection":
                found = [feature.id for feature in self.features or ()]
            case _:
                found = list(self.items or ())
        return list(dict.fromkeys(found))


class ItemSearchRequest(WireModel):
    """A search for products of the caller's orders."""

    collections: Items | None = Field(None, description="Ids of orders.", examples=[["order-12"]])
    ids: Items | None = Field(None, description="URNs of products.")
    limit: int = Field(100, ge=1, le=1000)
    token: Text | None = Field(None, description="Of the link `next` of the page before.")
    bbox: Any = Field(None, description="Not supported, as the next ones.", examples=[None])
    intersects: Any = Field(None, examples=[None])
    datetime: Any = Field(None, examples=[None])
    query: Any = Field(None, examples=[None])
    filter: Any = Field(None, examples=[None])
    sortby: Any = Field(None, examples=[None])

    @property
    def unsupported(self) -> str | None:
        """The name of a member that can't be searched by, if there is one."""
        return next((one for one in UNSUPPORTED if getattr(self, one) is not None), None)


class _Document(WireModel):
    """A document with members of extensions."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)


class StacLink(_Document):
    rel: str = Field(examples=["self"])
    href: str = Field(examples=["https://regards.example.org/api/v1/rs-order/stac"])
    type: str | None = Field(None, examples=["application/json"])


class StacAsset(_Document):
    """A file, or a list of files."""

    href: str
    type: str | None = None
    roles: list[str] | None = Field(None, examples=[["data"]])


class StacCatalog(_Document):
    """The landing page."""

    type: Literal["Catalog"]
    id: str
    description: str
    conforms_to: list[str] = Field(alias="conformsTo")
    links: list[StacLink]


class StacConformance(WireModel):
    """What the API conforms to."""

    model_config = ConfigDict(populate_by_name=True)

    conforms_to: list[str] = Field(
        alias="conformsTo", examples=[["https://api.stacspec.org/v1.0.0/core"]]
    )


class StacCollection(_Document):
    """An order, with its status (STAC extension `order`)."""

    type: Literal["Collection"]
    id: str = Field(examples=["order-12"])
    status: Literal["ordered", "shipping", "pending", "succeeded", "failed"] = Field(
        alias="order:status"
    )
    order_id: str = Field(alias="order:id", examples=["12"])
    ordered_at: Instant = Field(alias="order:date")
    expires: Instant | None = None
    percent: int = Field(alias="rsorder:percent", examples=[37])
    failed: bool = Field(alias="rsorder:failed", description="It has ended without any file.")
    message: str = Field(
        alias="rsorder:message", description="Why it isn't further, or how it has ended."
    )
    assets: Mapping[str, StacAsset]
    links: list[StacLink]


class StacCollections(WireModel):
    """Orders, the newest first."""

    collections: list[StacCollection]
    links: list[StacLink]


class StacItem(_Document):
    """A product of an order, with those of its files that can be downloaded."""

    type: Literal["Feature"]
    id: str
    collection: str = Field(examples=["order-12"])
    properties: Mapping[str, Any]
    assets: Mapping[str, StacAsset]
    links: list[StacLink]


class StacItems(_Document):
    """Products of orders."""

    type: Literal["FeatureCollection"]
    features: list[StacItem]
    links: list[StacLink]
