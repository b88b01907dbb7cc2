"""The syntax tree of the catalog's query language (remote-services.md 2.5).

A query decides about a product with three values: True, False, or None for *it depends on the product*.
None allows to accept or reject a generated dataset of a million products as a whole, when a query only
uses fields that all its products share.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from rs_order.sandbox.products import PropertyValue
from rs_order.sandbox.query_matchers import Contains, Exactly, Matcher

PROVIDER_ID_FIELDS = frozenset({"providerId", "productId"})


class Fields(Protocol):
    """The fields of a product, or of a set of products, by the names that queries use."""

    def values(self, name: str) -> tuple[PropertyValue, ...] | None:
        """Return all values of a field (none if it is missing), or None if products differ in it."""
        ...

    def texts(self) -> tuple[PropertyValue, ...] | None:
        """Return the values that a search without field compares, or None if products differ."""
        ...


class Query(Protocol):
    @property
    def depth(self) -> int:
        """The number of nested operators, this one included."""
        ...

    def decide(self, fields: Fields) -> bool | None:
        """Return True if the query selects the product, or None if the fields don't decide it."""
        ...

    def names(self) -> Iterator[str]:
        """Yield every field that the query uses."""
        ...

    def provider_ids(self) -> frozenset[str] | None:
        """Return texts of which the product id must contain one, or None if any product may match."""
        ...


@dataclass(frozen=True, slots=True)
class Everything:
    depth: int = 1

    def decide(self, fields: Fields) -> bool | None:  # noqa: ARG002 - Query
        return True

    def names(self) -> Iterator[str]:
        return iter(())

    def provider_ids(self) -> frozenset[str] | None:
        return None


@dataclass(frozen=True, slots=True)
class Criterion:
    """One operand, on a field or (``field`` None) on all texts."""

    field: str | None
    words: bool
    matcher: Matcher
    depth: int = 1

    def decide(self, fields: Fields) -> bool | None:
        values = fields.texts() if self.field is None else fields.values(self.field)
        if values is None:
            return None
        return any(self.matcher.matches(value, words=self.words) for value in values)

    def names(self) -> Iterator[str]:
        if self.field is not None:
            yield self.field

    def provider_ids(self) -> frozenset[str] | None:
        if self.words or self.field not in PROVIDER_ID_FIELDS:
            return None
        if isinstance(self.matcher, Contains | Exactly):
            return frozenset((self.matcher.text,))
        return None


@dataclass(frozen=True, slots=True)
class Not:
    term: Query
    depth: int

    def decide(self, fields: Fields) -> bool | None:
        decision = self.term.decide(fields)
        return None if decision is None else not decision

    def names(self) -> Iterator[str]:
        return self.term.names()

    def provider_ids(self) -> frozenset[str] | None:
        return None


@dataclass(frozen=True, slots=True)
class And:
    terms: tuple[Query, ...]
    depth: int

    def decide(self, fields: Fields) -> bool | None:
        decision: bool | None = True
        for term in self.terms:
            one = term.decide(fields)
            if one is False:
                return False
            if one is None:
                decision = None
        return decision

    def names(self) -> Iterator[str]:
        for term in self.terms:
            yield from term.names()

    def provider_ids(self) -> frozenset[str] | None:
        return next((ids for term in self.terms if (ids := term.provider_ids()) is not None), None)


@dataclass(frozen=True, slots=True)
class Or:
    terms: tuple[Query, ...]
    depth: int

    def decide(self, fields: Fields) -> bool | None:
        decision: bool | None = False
        for term in self.terms:
            one = term.decide(fields)
            if one is True:
                return True
            if one is None:
                decision = None
        return decision

    def names(self) -> Iterator[str]:
        for term in self.terms:
            yield from term.names()

    def provider_ids(self) -> frozenset[str] | None:
        ids: set[str] = set()
        for term in self.terms:
            some = term.provider_ids()
            if some is None:
                return None
            ids |= some
        return frozenset(ids)
