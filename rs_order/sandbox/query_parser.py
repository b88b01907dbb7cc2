"""The parser of the catalog's query language (remote-services.md 2.5); its grammar is ``query.lark``."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedInput, UnexpectedToken, VisitError

from rs_order.sandbox.query import And, Criterion, Everything, Not, Or, Query
from rs_order.sandbox.query_matchers import (
    Contains,
    Exactly,
    Matcher,
    Pattern,
    Present,
    QueryError,
    Range,
)

MAX_DEPTH = 200
"""Nested parentheses and NOTs. A deeper query is rejected, because it could overflow the stack."""

_EXCERPT = 60
"""Characters of a query in the message of an error."""


@lru_cache(maxsize=256)
def compile_query(text: str) -> Query:
    """Parse a query; an empty text selects everything.

    Raises:
        QueryError: the text can't be parsed, or is nested too deep.
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
    """An operand of ``field:( … )`` before its field is parsed: a function from the field to a query."""

    bind: Callable[[str | None, bool], Query]
    depth: int = 1


@v_args(inline=True)
class _Builder(Transformer[Token, object]):
    """Build the query while parsing. A deep query then needs no deep stack."""

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
"""A star without a backslash before it."""
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
