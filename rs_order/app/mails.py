"""Builds the parts that plan, compose and send mails."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import structlog

from rs_order.app.shared_parts import SharedParts
from rs_order.core.policies import mail_retries
from rs_order.mails.compose import ComposeMail
from rs_order.mails.cron import CronSchedule
from rs_order.mails.plan import PlanMails, RemindOwners, RemindStep
from rs_order.mails.send import SendMail, SendMailStep, count_mail
from rs_order.mails.templates import FolderTemplates, Languages
from rs_order.settings import PREFIX, Settings, SettingsError

Value = TypeVar("Value")
Text = TypeVar("Text")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class MailRules:
    """The settings about mails, parsed and checked."""

    schedule: CronSchedule
    languages: Languages

    @classmethod
    def of(cls, settings: Settings) -> "MailRules":
        """Read the settings.

        Raises:
            SettingsError: names the setting that is wrong.
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


def mails(shared: SharedParts) -> PlanMails:
    """Return the planner of mails. If no mailer is set, mails are dropped and counted.

    Raises:
        SettingsError: names the setting that is wrong.
    """
    settings, mailer = shared.settings, shared.clients.mailer
    rules = MailRules.of(settings)
    folder = Path(settings.mail_templates) if settings.mail_templates else None
    templates = FolderTemplates(rules.languages, folder)
    plan = PlanMails(shared.store, shared.clock, rules.schedule)
    send = SendMail(
        shared.store,
        ComposeMail(shared.store, templates, shared.links, shared.order_tokens),
        mailer,
        clock=shared.clock,
        retries=mail_retries(),
        count=count_mail,
        sizes=shared.sizes,
    )
    shared.steps.on(RemindStep, RemindOwners(shared.store, shared.clock, plan, shared.sizes).handle)
    shared.steps.on(SendMailStep, send.handle)
    if mailer is None:
        log.warning("mails-not-sent", set=f"{PREFIX}SMTP_HOST or {PREFIX}ADMIN_INSTANCE_URL")
    return plan
