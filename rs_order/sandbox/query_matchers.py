"""The fields of products, and comparisons of their values with operands (remote-services.md 2.5)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

import re2
from pydantic import TypeAdapter, ValidationError

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


_DATE = TypeAdapter(datetime)
_DAY_FORM = re.compile(r"\d{4}-\d{2}-\d{2}")


class QueryError(Exception):
    """The query can't be answered. The message is the text of the catalog's 400."""


class Matcher(Protocol):
    """An operand of a query."""

    def matches(self, value: PropertyValue, *, words: bool) -> bool:
        """Return True if a value matches; ``words`` compares texts by words, ignoring case."""
        ...


@dataclass(frozen=True, slots=True)
class Contains:
    """An unquoted value: it is contained in a text, or equals a number, a date or a boolean."""

    text: str

    def matches(self, value: PropertyValue, *, words: bool) -> bool:
        if not isinstance(value, str):
            return _equals(value, self.text)
        return _has_words(value, self.text) if words else self.text in value


@dataclass(frozen=True, slots=True)
class Exactly:
    """A quoted value: it equals the value."""

    text: str

    def matches(self, value: PropertyValue, *, words: bool) -> bool:
        if not isinstance(value, str):
            return _equals(value, self.text)
        return _has_words(value, self.text) if words else self.text == value


class Pattern:
    """A regular expression or wildcard over the whole value, in linear time (RE2)."""

    def __init__(self, expression: str) -> None:
        try:
            self._compiled = re2.compile(expression, _quiet())
        except re2.error as error:
            raise QueryError(f"Bad regular expression {expression}: {error}") from error

    @classmethod
    def wildcard(cls, parts: Sequence[str]) -> Pattern:
        """Return a pattern from the literal parts of a term between its ``*``."""
        return cls("(?s)" + ".*".join(re2.escape(part) for part in parts))

    def matches(self, value: PropertyValue, *, words: bool) -> bool:
        text = as_text(value)
        return self._compiled.fullmatch(text.lower() if words else text) is not None


@dataclass(frozen=True, slots=True)
class Present:
    """``field:*``: any value matches."""

    def matches(self, value: PropertyValue, *, words: bool) -> bool:  # noqa: ARG002 - Matcher
        return True


@dataclass(frozen=True, slots=True)
class Range:
    """Values between two bounds; None is an open bound."""

    low: str | None
    high: str | None
    includes_low: bool
    includes_high: bool

    def matches(self, value: PropertyValue, *, words: bool) -> bool:  # noqa: ARG002 - Matcher
        return self._above(value) and self._below(value)

    def _above(self, value: PropertyValue) -> bool:
        if self.low is None:
            return True
        order = _compare(value, self.low, end_of_day=not self.includes_low)
        return order is not None and (order > 0 or (self.includes_low and order == 0))

    def _below(self, value: PropertyValue) -> bool:
        if self.high is None:
            return True
        order = _compare(value, self.high, end_of_day=self.includes_high)
        return order is not None and (order < 0 or (self.includes_high and order == 0))


def as_text(value: PropertyValue) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value)


def _quiet() -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    return options


def _has_words(value: str, wanted: str) -> bool:
    present = set(re.findall(r"\w+", value.lower()))
    return all(word in present for word in re.findall(r"\w+", wanted.lower()))


def _equals(value: PropertyValue, text: str) -> bool:
    if isinstance(value, bool):
        return as_text(value) == text.lower()
    if isinstance(value, datetime) and _DAY_FORM.fullmatch(text):
        return value.astimezone(UTC).date().isoformat() == text
    return _compare(value, text, end_of_day=False) == 0


def _compare(value: PropertyValue, bound: str, *, end_of_day: bool) -> int | None:
    """Return the sign of ``value - bound``, or None if they can't be compared."""
    if isinstance(value, datetime):
        instant = _instant(bound, end_of_day=end_of_day)
        return None if instant is None else (value > instant) - (value < instant)
    if isinstance(value, int | float):
        number = _number(bound)
        return None if number is None else (value > number) - (value < number)
    return (value > bound) - (value < bound)


def _instant(text: str, *, end_of_day: bool) -> datetime | None:
    """Parse a bound, in UTC if it has no offset. A day without a time is its start or its end."""
    try:
        instant = _DATE.validate_python(text)
    except ValidationError:
        return None
    instant = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    if end_of_day and _DAY_FORM.fullmatch(text):
        instant += timedelta(days=1) - timedelta(microseconds=1)
    return instant


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
