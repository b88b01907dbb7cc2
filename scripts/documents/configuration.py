"""Generates ``docs/configuration.md``: every setting, and the properties of the Java service without one."""

import inspect
import re
from collections.abc import Iterator
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from rs_order.settings import PREFIX, Settings
from scripts.documents.markdown import generated_from, table

WITHOUT_MEANING = {
    "spring.application.name": (
        "The name in queues is `RS_ORDER_AMQP_MICROSERVICE_TYPE_IDENTIFIER`; in links it is always "
        "`rs-order`."
    ),
    "regards.amqp.enabled": "The service always needs AMQP.",
    "regards.amqp.management.mode": "There is one virtual host for all projects, and no other mode.",
    "regards.amqp.retry.delayAttempts": (
        "No message is retried through the broker's retry exchange: a delay is a row of the outbox."
    ),
    "regards.amqp.internal.transaction": (
        "Messages are published from the outbox, never in a transaction of the broker."
    ),
    "regards.instance.tenant.name": "The instance virtual host's tenant is always `instance`.",
    "regards.bootstrap-tenants": (
        "It names virtual hosts of a mode that doesn't exist here; `RS_ORDER_TENANTS` names the tenants "
        "at the start."
    ),
    "regards.rabbitmq.number.retries.failed.queue": (
        "The service connects again without a limit of attempts, with growing pauses."
    ),
    "regards.rabbitmq.interval.retries.failed.queue": "As above.",
    "regards.rabbitmq.max.body.length.render": "Bodies are not logged.",
    "regards.order.cancel.loop.duration": "A cancel doesn't wait: it is one short transaction.",
    "regards.order.client.response.batch.size": "It belongs to the client library, not to the service.",
    "regards.order.computation.update.rate.ms": (
        "Nothing is computed at intervals: counters change together with the files."
    ),
    "regards.order.clean.expired.rate.ms": "Each order has a row that is due at its expiry date.",
    "regards.workspace.monitoring.delay.ms": "There is no workspace.",
}
"""The properties of domain.md 14.2 and amqp.md 1.15 that no setting replaces, and why."""

_INTRODUCTION = """\
# Configuration

{mark}

A setting is an environment variable, or a line of the TOML file that `{prefix}CONFIG` names, there
in lower case and without the prefix (`database_url = "postgresql://…"`). The environment wins.
Settings are read once, at the start. Each wrong one is named in a line with its value and the reason, and
the command ends with exit code 2. Values of keys and URLs with credentials are never printed. An empty
variable counts as unset. A variable `{prefix}…` that no setting has is logged as `unknown-setting`.

A tenant's own settings (`domain.md` 14.1) are changed over REST, `PUT /settings/{{name}}`."""


def configuration() -> str:
    introduction = _INTRODUCTION.format(
        mark=generated_from("`rs_order/settings.py`"), prefix=PREFIX
    )
    sections = [
        f"## {heading}\n\n"
        + table(
            ["Variable", "Replaces the property", "Default", "Must be", "Meaning"],
            (_row(name) for name in names),
        )
        for heading, names in _sections()
    ]
    rest = (
        "## Properties that have no meaning here\n\n"
        "They are listed in `domain.md` 14.2 and `amqp.md` 1.15.\n\n"
        + table(["Property", "Why"], ([f"`{name}`", why] for name, why in WITHOUT_MEANING.items()))
    )
    return "\n\n".join([introduction, *sections, rest]) + "\n"


def replaced_properties() -> set[str]:
    """Return the full names of the properties that a setting replaces."""
    found = set[str]()
    for field in Settings.model_fields.values():
        found |= set(_full_names(_property_of(field)))
    return found


def _sections() -> Iterator[tuple[str, list[str]]]:
    """Yield each heading with its settings. The headings are the comments of the class."""
    heading, names = "", list[str]()
    for line in inspect.getsource(Settings).splitlines():
        if comment := re.fullmatch(r"    # (.+)", line):
            if names:
                yield heading, names
            heading, names = comment[1], []
        elif (field := re.match(r"    (\w+):", line)) and field[1] in Settings.model_fields:
            names.append(field[1])
    yield heading, names


def _row(name: str) -> list[str]:
    field = Settings.model_fields[name]
    meaning = field.description or ""
    return [
        f"`{PREFIX}{name.upper()}`",
        ", ".join(f"`{part}`" for part in _property_of(field).split(", ") if part),
        _default(field),
        _bounds(field),
        meaning,
    ]


def _property_of(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    return str(extra["property"]) if isinstance(extra, dict) and "property" in extra else ""


def _full_names(names: str) -> Iterator[str]:
    """Yield the full names: ``a.b.host, .port`` stands for ``a.b.host`` and ``a.b.port``."""
    first = ""
    for name in filter(None, names.split(", ")):
        if name.startswith("."):
            yield first.rpartition(".")[0] + name
        else:
            first = name
            yield name


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "random"
    value: Any = field.default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    match value:
        case None | []:
            return "none"
        case list():
            return f"`{','.join(map(str, value))}`"
        case bool():
            return f"`{str(value).lower()}`"
        case _:
            return f"`{value}`"


def _bounds(field: FieldInfo) -> str:
    parts = [_type(field.annotation)]
    for bound in field.metadata:
        match bound:
            case Ge(ge):
                parts.append(f"≥ {ge}")
            case Gt(gt):
                parts.append(f"> {gt}")
            case Le(le):
                parts.append(f"≤ {le}")
            case Lt(lt):
                parts.append(f"< {lt}")
            case MinLen(length):
                parts.append(f"≥ {length} characters")
    return " ".join(parts)


def _type(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    if get_origin(annotation) is list:
        return "list"
    (kind,) = (part for part in (get_args(annotation) or (annotation,)) if part is not NoneType)
    return {int: "integer", float: "number", bool: "`true` or `false`"}.get(kind, "text")
