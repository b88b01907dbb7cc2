"""The catalog's query language: text to a tree that judges products (remote-services.md 2.5).

A judgement has three values: True, False, and None for *it depends on the product*. The last one
lets a generated dataset of a million products be accepted or refused as a whole when a query only
looks at what all its products share.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Protocol

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedInput, UnexpectedToken, VisitError

from rs_order.sandbox.matchers import (
    Contains,
    Exactly,
    Matcher,
    Pattern,
    Present,
    QueryError,
    Range,
)
from rs_order.sandbox.products import PropertyValue

PROVIDER_ID_FIELDS = frozenset({"providerId", "productId"})
MAX_DEPTH = 200
"""Parentheses and NOTs inside one another; more is refused instead of overflowing the stack."""

_EXCERPT = 60


class Fields(Protocol):
    """A product, or what a set of products shares, seen through the names queries use."""

    def values(self, name: str) -> tuple[PropertyValue, ...] | None:
        """All values of a field, none when it isn't there; None when it depends on the product."""
        ...

    def texts(self) -> tuple[PropertyValue, ...] | None:
        """The values that a search without field looks at; None as above."""
        ...


class Query(Protocol):
    @property
    def depth(self) -> int:
        """How many operators are inside one another, itself included."""
        ...

    def judge(self, fields: Fields) -> bool | None:
        """Whether the product is selected; None when the fields don't tell."""
        ...

    def names(self) -> Iterator[str]:
        """Every field the query uses."""
        ...

    def provider_ids(self) -> frozenset[str] | None:
        """Texts of which one must be in the product id; None when any product may match."""
        ...


@dataclass(frozen=True, slots=True)
class Everything:
    depth: int = 1

    def judge(self, fields: Fields) -> bool | None:  # noqa: ARG002 - Query
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

    def judge(self, fields: Fields) -> bool | None:
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

    def judge(self, fields: Fields) -> bool | None:
        verdict = self.term.judge(fields)
        return None if verdict is None else not verdict

    def names(self) -> Iterator[str]:
        return self.term.names()

    def provider_ids(self) -> frozenset[str] | None:
        return None


@dataclass(frozen=True, slots=True)
class And:
    terms: tuple[Query, ...]
    depth: int

    def judge(self, fields: Fields) -> bool | None:
        verdict: bool | None = True
        for term in self.terms:
            one = term.judge(fields)
            if one is False:
                return False
            if one is None:
                verdict = None
        return verdict

    def names(self) -> Iterator[str]:
        for term in self.terms:
            yield from term.names()

    def provider_ids(self) -> frozenset[str] | None:
        return next((ids for term in self.terms if (ids := term.provider_ids()) is not None), None)


@dataclass(frozen=True, slots=True)
class Or:
    terms: tuple[Query, ...]
    depth: int

    def judge(self, fields: Fields) -> bool | None:
        verdict: bool | None = False
        for term in self.terms:
            one = term.judge(fields)
            if one is True:
                return True
            if one is None:
                verdict = None
        return verdict

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


@lru_cache(maxsize=256)
def compile_query(text: str) -> Query:
    """The query a text stands for; an empty one selects everything.

    Raises:
        QueryError: the text isn't of the language, or is nested too deep.
    """
    if text.strip() in {"", "*"}:
        return Everything()
    try:
        return _PARSER.parse(text)  # type: ignore[return-value]
    except UnexpectedInput as error:
        raise QueryError(f"Cannot parse query: unexpected {_place(text, error)}") from error
    except VisitError as error:
        raise error.orig_exc from error


def _place(text: str, error: UnexpectedInput) -> str:
    at_end = isinstance(error, UnexpectedToken) and error.token.type == "$END"
    return "end" if at_end else repr(text[error.pos_in_stream or 0 :][:_EXCERPT])


@dataclass(frozen=True, slots=True)
class _Unbound:
    """Operands of ``field:( … )`` before the field is known: a function of the field."""

    bind: Callable[[str | None, bool], Query]
    depth: int = 1


@v_args(inline=True)
class _Builder(Transformer[Token, object]):
    """Reduce the parse to a query while parsing, so depth costs no stack here."""

    def operand(self, token: Token) -> _Unbound:
        matcher = _matcher(token)
        return _Unbound(lambda field, words: _criterion(field, words, matcher))

    def fielded(self, field: Token, value: _Unbound) -> Query:
        name, _, mode = field[:-1].rstrip().partition("@")
        if mode not in {"", "keyword", "text"}:
            raise QueryError(f"Unknown match mode @{mode} of field {name}: use @keyword or @text")
        return value.bind(name, mode == "text")

    def anywhere(self, value: _Unbound) -> Query:
        return value.bind(None, False)

    def everything(self, _token: Token) -> Query:
        return Everything()

    def negation(self, term: Query) -> Query:
        return Not(term, _deeper(term))

    def both(self, *terms: Query) -> Query:
        return And(terms, _deeper(*terms))

    def either(self, *terms: Query) -> Query:
        return Or(terms, _deeper(*terms))

    def negated_value(self, value: _Unbound) -> _Unbound:
        return _Unbound(
            lambda field, words: self.negation(value.bind(field, words)), _deeper(value)
        )

    def all_values(self, *values: _Unbound) -> _Unbound:
        return _Unbound(
            lambda field, words: self.both(*_bound(values, field, words)), _deeper(*values)
        )

    def values(self, *values: _Unbound) -> _Unbound:
        return _Unbound(
            lambda field, words: self.either(*_bound(values, field, words)), _deeper(*values)
        )


def _bound(values: tuple[_Unbound, ...], field: str | None, words: bool) -> list[Query]:
    return [value.bind(field, words) for value in values]


def _deeper(*terms: Query | _Unbound) -> int:
    depth = 1 + max(term.depth for term in terms)
    if depth > MAX_DEPTH:
        raise QueryError(f"Query nested deeper than {MAX_DEPTH} levels: write it flatter")
    return depth


def _criterion(field: str | None, words: bool, matcher: Matcher) -> Query:
    if field is None and isinstance(matcher, Present):
        return Everything()
    return Criterion(field, words, matcher)


def _matcher(token: Token) -> Matcher:
    match token.type:
        case "QUOTED":
            return Exactly(_unescape(token[1:-1]))
        case "REGEX":
            return Pattern(token[1:-1].replace("\\/", "/"))
        case "RANGE":
            return _range(token)
        case _:
            return _term_matcher(token)


def _term_matcher(term: str) -> Matcher:
    if term == "*":
        return Present()
    parts = [_unescape(part) for part in _STAR.split(term)]
    return Contains(parts[0]) if len(parts) == 1 else Pattern.wildcard(parts)


def _range(token: str) -> Range:
    found = _RANGE.fullmatch(token)
    if found is None:
        raise QueryError(f"Cannot parse range {token}")
    return Range(
        low=_bound_text(found["low"]),
        high=_bound_text(found["high"]),
        includes_low=token.startswith("["),
        includes_high=token.endswith("]"),
    )


def _bound_text(text: str) -> str | None:
    if text == "*":
        return None
    return _unescape(text[1:-1] if text.startswith('"') else text)


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


_STAR = re.compile(r"(?<!\\)\*")
"""A star that no backslash shields."""
_RANGE = re.compile(
    r"""[\[{]\s*(?P<low>"(?:\\.|[^"\\])*"|\S+?)\s+TO\s+(?P<high>"(?:\\.|[^"\\])*"|\S+?)\s*[\]}]""",
    re.DOTALL,
)
_PARSER = Lark(
    (files(__package__) / "query.lark").read_text("utf-8"),
    start="query",
    parser="lalr",
    lexer="contextual",
    transformer=_Builder(),
)
