"""Mails to users: what they look like, and who takes them away."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from rs_order.domain.ids import Tenant

_ADDRESS = re.compile(
    r"[^\s\x00-\x1f\x7f-\x9f,;:<>()\[\]\"\\@]+@[^\s\x00-\x1f\x7f-\x9f,;:<>()\[\]\"\\@]+"
)
"""One recipient and nothing that a mail server could read as more: no second address, no new line."""


class UnusableAddress(Exception):
    """An owner's name is no address that a mail could be sent to."""

    code = "unusable-address"


class MailCode(StrEnum):
    """What a mail says; the names are those of the reference's templates (domain.md 16.2)."""

    ORDER_CREATED = "ORDER_CREATED_TEMPLATE"
    ASIDE_ORDERS = "ASIDE_ORDERS_NOTIFICATION_TEMPLATE"


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail to one user; neither address nor subject can bring in a header of their own.

    Raises:
        UnusableAddress: ``to`` isn't one address.
    """

    key: str
    """The same when the mail is sent again."""
    to: str
    subject: str
    html: str

    def __post_init__(self) -> None:
        if not _ADDRESS.fullmatch(self.to):
            raise UnusableAddress(f"{self.to!r} is not an e-mail address")
        one_line = "".join(mark if mark.isprintable() else " " for mark in self.subject)
        object.__setattr__(self, "subject", " ".join(one_line.split()))


class Mailer(Protocol):
    """Takes mails away."""

    async def send(self, tenant: Tenant, mail: Mail) -> None:
        """Hand a mail over; it is out when this returns.

        Raises:
            RemoteRefusal: it will never be taken.
            RemoteTrouble: it was not taken now.
        """
        ...


@dataclass(frozen=True, slots=True)
class TemplateFault:
    """A tenant's template that can't be used."""

    template: str
    """Name of its file."""
    problem: str
    """What is wrong with it, and where; names the variable."""


@dataclass(frozen=True, slots=True)
class RenderedMail:
    """What a mail says."""

    subject: str
    html: str
    faults: tuple[TemplateFault, ...] = ()
    """Templates of the tenant in whose place the packaged ones were taken."""


class MailTemplates(Protocol):
    """The words of the mails, which a tenant may replace by its own."""

    def render(self, tenant: Tenant, code: MailCode, variables: Mapping[str, Any]) -> RenderedMail:
        """Fill the tenant's template in its language; where that fails, the packaged one."""
        ...
