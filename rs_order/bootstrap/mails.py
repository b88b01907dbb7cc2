"""The mails of a process: their schedule, their words, and who takes them away."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import structlog

from rs_order.adapters.cron import CronSchedule
from rs_order.adapters.mail import FolderTemplates, Languages, count_mail
from rs_order.application.links import Links
from rs_order.application.mails.compose import ComposeMail
from rs_order.application.mails.plan import PlanMails
from rs_order.application.mails.remind import RemindOwners
from rs_order.application.mails.send import SendMail
from rs_order.application.policies import mail_retries
from rs_order.ports.clock import Clock
from rs_order.ports.mail import Mailer
from rs_order.ports.order_tokens import OrderTokens
from rs_order.settings import PREFIX, Settings, SettingsError
from rs_order.store.unit_of_work import Store

Value = TypeVar("Value")
Text = TypeVar("Text")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class MailRules:
    """What an operator decided about mails, checked."""

    schedule: CronSchedule
    languages: Languages

    @classmethod
    def of(cls, settings: Settings) -> "MailRules":
        """Read the settings.

        Raises:
            SettingsError: names the wrong one.
        """
        return cls(
            _read(
                "PERIODIC_FILES_AVAILABILITY_CHECK_CRON",
                CronSchedule,
                settings.periodic_files_availability_check_cron,
            ),
            _read("MAIL_LANGUAGE", Languages.parse, settings.mail_language),
        )


def _read(name: str, parse: Callable[[Text], Value], text: Text) -> Value:
    try:
        return parse(text)
    except ValueError as error:
        raise SettingsError(f"{PREFIX}{name}: {error}") from error


class Mails:
    """The use cases, wired."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        links: Links,
        mailer: Mailer | None,
        tokens: OrderTokens,
        *,
        clock: Clock,
    ) -> None:
        rules = MailRules.of(settings)
        folder = Path(settings.mail_templates) if settings.mail_templates else None
        templates = FolderTemplates(rules.languages, folder)
        self.plan = PlanMails(store, clock, rules.schedule)
        self.remind = RemindOwners(store, clock, self.plan)
        self.send = SendMail(
            store,
            ComposeMail(store, templates, links, tokens),
            mailer,
            clock=clock,
            retries=mail_retries(),
            count=count_mail,
        )
        if mailer is None:
            log.warning("mails-not-sent", set=f"{PREFIX}SMTP_HOST or {PREFIX}ADMIN_INSTANCE_URL")
