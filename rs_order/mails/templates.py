"""Templates of mails: packaged ones, and those by which an operator replaces them.

Each mail has two templates per language, ``<code>.<language>.html`` and ``<code>.<language>.subject``.
A replacement is searched in ``<folder>/<tenant>``, then in ``<folder>``.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from jinja2 import (
    Environment,
    FileSystemLoader,
    PackageLoader,
    StrictUndefined,
    TemplateError,
    TemplateNotFound,
    TemplateSyntaxError,
    pass_context,
)
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from rs_order.domain.ids import Tenant
from rs_order.domain.instants import parse_instant
from rs_order.ports import MailCode, RenderedMail, TemplateFault


class Language(StrEnum):
    """The languages with packaged templates."""

    ENGLISH = "en"
    FRENCH = "fr"


# fmt: off
_MONTHS = {
    Language.ENGLISH: (
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
    Language.FRENCH: (
        "janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.", "déc."),
}
# fmt: on
"""Names of the months in each language, as Java's format ``MMM`` has them."""


class Languages:
    """The language of each tenant's mails."""

    def __init__(self, default: Language, by_tenant: Mapping[str, Language]) -> None:
        self._default = default
        self._by_tenant = dict(by_tenant)

    @classmethod
    def parse(cls, texts: list[str]) -> "Languages":
        """Parse ``en`` (for all tenants) and ``project1=fr`` (for one tenant), in any order.

        English is the default.

        Raises:
            ValueError: a language has no templates, or a text has another form.
        """
        default, by_tenant = Language.ENGLISH, dict[str, Language]()
        for text in texts:
            tenant, equals, name = text.rpartition("=")
            if name not in set(Language) or (equals and not tenant):
                raise ValueError(
                    f"{text!r} is neither a language ({', '.join(Language)}) nor tenant=language"
                )
            if equals:
                by_tenant[tenant] = Language(name)
            else:
                default = Language(name)
        return cls(default, by_tenant)

    def of(self, tenant: Tenant) -> Language:
        """Return the language of a tenant's mails."""
        return self._by_tenant.get(tenant, self._default)


class FolderTemplates:
    """Renders mails by templates, packaged ones or those of the operator's folder.

    Files of the folder are read again when they change. They run in a sandbox, and an unknown variable is
    an error.
    """

    def __init__(self, languages: Languages, folder: Path | None = None) -> None:
        """``folder`` contains templates that replace packaged ones; None: there are none."""
        self._languages = languages
        self._folder = folder
        self._packaged = _environment(PackageLoader("rs_order.mails", "templates"))
        self._own: dict[Tenant, Environment] = {}

    def render(self, tenant: Tenant, code: MailCode, variables: Mapping[str, Any]) -> RenderedMail:
        """Render the tenant's template in its language; if that fails, the packaged one.

        The faults of the result name the templates of the tenant that failed.
        """
        language = self._languages.of(tenant)
        values = {**variables, "language": language.value}
        parts, faults = list[str](), list[TemplateFault]()
        for part in ("subject", "html"):
            name = f"{code}.{language}.{part}"
            text = self._render_own(tenant, name, values)
            if isinstance(text, TemplateFault):
                faults.append(text)
            if not isinstance(text, str):
                text = self._packaged.get_template(name).render(values)
            parts.append(text)
        return RenderedMail(parts[0].strip(), parts[1], tuple(faults))

    def _render_own(
        self, tenant: Tenant, name: str, values: Mapping[str, Any]
    ) -> str | TemplateFault | None:
        """Render the tenant's own template. None if it has none of this name."""
        if self._folder is None:
            return None
        try:
            template = self._environment_of(tenant, self._folder).get_template(name)
            return _sendable(template.render(values))
        except TemplateNotFound as missing:
            # Another name is that of a template which this one includes.
            return None if missing.name == name else TemplateFault(name, _problem(missing))
        except Exception as error:  # noqa: BLE001 - a tenant's template may fail in any way
            return TemplateFault(name, _problem(error))

    def _environment_of(self, tenant: Tenant, folder: Path) -> Environment:
        if tenant not in self._own:
            self._own[tenant] = _environment(FileSystemLoader([folder / tenant, folder]))
        return self._own[tenant]


class _Sandbox(ImmutableSandboxedEnvironment):
    """A sandbox that limits memory: templates can't multiply texts and lists."""

    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" or not (_is_number(left) and _is_number(right)):
            raise SecurityError(f"{operator} is not for templates")
        return super().call_binop(context, operator, left, right)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _environment(loader: PackageLoader | FileSystemLoader) -> Environment:
    environment = _Sandbox(
        loader=loader,
        undefined=StrictUndefined,
        autoescape=_is_html,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["date"] = _date
    return environment


def _sendable(text: str) -> str:
    """Return the text, if a mail can contain it.

    Raises:
        ValueError: the text is empty, or can't be encoded.
    """
    if not text.strip():
        raise ValueError("it renders to nothing")
    text.encode()
    return text


def _is_html(name: str | None) -> bool:
    """True if values must be escaped. Subjects are plain text."""
    return name is None or name.endswith(".html")


@pass_context
def _date(context: Context, instant: str | None) -> str:
    """Format an ISO date-time as ``5 Jan 2026 07:00:00 UTC``; None becomes the empty text."""
    if instant is None:
        return ""
    at: datetime = parse_instant(instant)
    month = _MONTHS[Language(context["language"])][at.month - 1]
    return f"{at.day} {month} {at.year} {at:%H:%M:%S} UTC"


def _problem(error: Exception) -> str:
    """Return the cause in one line, with the line number of the file if the library gives it."""
    message = (str(error).splitlines() or [""])[0] or type(error).__name__
    match error:
        case TemplateSyntaxError(lineno=line):
            return f"line {line}: {message}"
        case TemplateError():
            return message
        case _:
            return f"{type(error).__name__}: {message}"
