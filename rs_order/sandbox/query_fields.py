"""The fields of products by their names in the query language (remote-services.md 2.5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rs_order.sandbox.products import Dataset, Product, PropertyValue, urn_for, virtual_urn

Values = tuple[PropertyValue, ...]

PROPERTY_PREFIX = "properties."


def _tags(dataset: Dataset, tenant: str) -> Values:
    return (urn_for(tenant, dataset.urn), dataset.id)


_READERS: Mapping[str, Callable[[Product, str], Values]] = {
    "id": lambda product, tenant: (urn_for(tenant, product.urn),),
    "virtualId": lambda product, tenant: (virtual_urn(urn_for(tenant, product.urn)),),
    "version": lambda product, _: (product.version,),
    "last": lambda _product, _tenant: (True,),
    "providerId": lambda product, _: (product.provider_id,),
    "productId": lambda product, _: (product.provider_id,),
    "label": lambda product, _: (product.provider_id,),
    "model": lambda product, _: (product.dataset.model,),
    "datasetModelNames": lambda product, _: (product.dataset.model,),
    "tags": lambda product, tenant: _tags(product.dataset, tenant),
    "dataset": lambda product, _: (product.dataset.id,),
    "datatype": lambda product, _: tuple(file.type for file in product.files),
    "rawdata": lambda product, _: tuple(
        file.filename for file in product.files if file.type == "RAWDATA"
    ),
    "_creationDate": lambda product, _: (product.created,),
    "_lastUpdate": lambda product, _: (product.created,),
}
FIXED_NAMES = frozenset(_READERS)
_TEXT_NAMES = ("providerId", "tags", "model")
SHARED_NAMES = frozenset(
    {
        "version",
        "last",
        "model",
        "datasetModelNames",
        "tags",
        "dataset",
        "datatype",
        "_creationDate",
        "_lastUpdate",
    }
)
"""Fields with the same value for all products of a generated dataset."""


class ProductFields:
    """The fields of one product; its URNs have the tenant of the caller."""

    def __init__(self, product: Product, tenant: str) -> None:
        self._product = product
        self._tenant = tenant

    def values(self, name: str) -> Values:
        if reader := _READERS.get(name):
            return reader(self._product, self._tenant)
        value = self._product.properties.get(name.removeprefix(PROPERTY_PREFIX))
        if value is None and name == PROPERTY_PREFIX + "dataset":
            value = self._product.dataset.id
        return () if value is None else (value,)

    def texts(self) -> Values:
        named = (value for name in _TEXT_NAMES for value in self.values(name))
        properties = (v for v in self._product.properties.values() if isinstance(v, str))
        return (*named, *properties)


class SharedFields:
    """The fields that all products of a generated dataset share, read from one of them."""

    def __init__(self, sample: Product, tenant: str) -> None:
        self._sample = ProductFields(sample, tenant)

    def values(self, name: str) -> Values | None:
        shared = name in SHARED_NAMES or name == PROPERTY_PREFIX + "dataset"
        return self._sample.values(name) if shared else None

    def texts(self) -> Values | None:
        return None


def is_known(name: str, property_names: frozenset[str]) -> bool:
    """Return True if a query may use a field. The catalog answers 400 to other fields."""
    bare = name.removeprefix(PROPERTY_PREFIX)
    return name in FIXED_NAMES or bare in property_names or bare == "dataset"
