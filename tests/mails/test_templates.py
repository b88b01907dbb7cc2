"""Templates of mails: the packaged ones, compared completely, and a tenant's own."""

import os
from pathlib import Path
from typing import Any

import pytest

from rs_order.domain.ids import Tenant
from rs_order.mails.templates import FolderTemplates, Language, Languages
from rs_order.ports import MailCode, RenderedMail, TemplateFault

PROJECT1 = Tenant("project1")
PROJECT2 = Tenant("project2")
EXPECTED = Path(__file__).parent / "expected"
ORDER_CREATED = "ORDER_CREATED_TEMPLATE.en"

CREATED: dict[str, Any] = {
    "project": "project1",
    "order_label": "42",
    "expiration_date": "2026-08-12T07:05:09.25Z",
    "metalink_download_url": "https://site/api/v1/rs-order/user/orders/metalink/download"
    "?orderToken=abc.def.ghi&scope=project1",
    "regards_downloader_url": "https://github.com/RegardsOss/RegardsDownloader/releases",
    "orders_url": "https://site/user/project1/orders",
}
ASIDE: dict[str, Any] = {
    "project": "project1",
    "orders": [
        {
            "label": "Sun <b>& stars",
            "creationDate": "2026-01-31T23:59:59Z",
            "expirationDate": "2026-02-07T23:59:59Z",
            "availableFilesCount": 12,
            "availableUpdateDate": "2026-02-01T00:00:00Z",
        },
        {
            "label": 'Quotes "\nBcc: evil@example.org',
            "creationDate": "2026-02-01T07:00:00Z",
            "expirationDate": None,
            "availableFilesCount": 1,
            "availableUpdateDate": "2026-02-01T08:00:00Z",
        },
    ],
    "more_orders": 3,
}
DISABLED: dict[str, Any] = {
    "project": "project1",
    "url": "https://hooks.example.org/rs?a=b&c=<d>",
    "webhook_label": "note <b>book",
    "reason": "no-success",
}
VARIABLES = {
    MailCode.ORDER_CREATED: CREATED,
    MailCode.ASIDE_ORDERS: ASIDE,
    MailCode.WEBHOOK_DISABLED: DISABLED,
}
SUBJECTS = {
    ("ORDER_CREATED_TEMPLATE", "en"): "Order number 42 is confirmed",
    ("ORDER_CREATED_TEMPLATE", "fr"): "La commande numéro 42 est confirmée",
    ("ASIDE_ORDERS_NOTIFICATION_TEMPLATE", "en"): "Reminder: some orders are waiting for you",
    ("ASIDE_ORDERS_NOTIFICATION_TEMPLATE", "fr"): "Rappel : des commandes vous attendent",
    ("WEBHOOK_DISABLED_TEMPLATE", "en"): "A webhook of yours gets no events any more",
    ("WEBHOOK_DISABLED_TEMPLATE", "fr"): "Un de vos webhooks ne reçoit plus rien",
}


def templates(folder: Path | None = None, *languages: str) -> FolderTemplates:
    return FolderTemplates(Languages.parse(list(languages)), folder)


def created(folder: Path | None = None, tenant: Tenant = PROJECT1) -> RenderedMail:
    return templates(folder).render(tenant, MailCode.ORDER_CREATED, CREATED)


PACKAGED = created()


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("code", list(MailCode))
def test_packaged_mails_are_exactly_these(code: MailCode, language: Language) -> None:
    """They have the variables, dates and subjects of domain.md 16.2; text of users is escaped."""
    mail = templates(None, language).render(PROJECT1, code, VARIABLES[code])

    assert mail.html == (EXPECTED / f"{code}.{language}.html").read_text(encoding="utf-8")
    assert mail.subject == SUBJECTS[code, language]
    assert mail.faults == ()


@pytest.mark.parametrize("language", list(Language))
def test_without_a_metalink_its_line_is_left_out(language: Language) -> None:
    """Without a key for order tokens the rest of the mail stays."""
    mail = templates(None, language).render(
        PROJECT1, MailCode.ORDER_CREATED, CREATED | {"metalink_download_url": ""}
    )

    assert "metalink" not in mail.html
    assert mail.html.count("<li>") == 1


@pytest.mark.parametrize(
    ("month", "english", "french"),
    [
        (1, "Jan", "janv."),
        (2, "Feb", "févr."),
        (3, "Mar", "mars"),
        (4, "Apr", "avr."),
        (5, "May", "mai"),
        (6, "Jun", "juin"),
        (7, "Jul", "juil."),
        (8, "Aug", "août"),
        (9, "Sep", "sept."),
        (10, "Oct", "oct."),
        (11, "Nov", "nov."),
        (12, "Dec", "déc."),
    ],
)
def test_dates_follow_the_pattern_in_each_language(month: int, english: str, french: str) -> None:
    """The format is ``d MMM yyyy HH:mm:ss z``, in UTC for every input offset."""
    variables = CREATED | {"expiration_date": f"2026-{month:02}-05T09:05:03+02:00"}
    for language, name in (("en", english), ("fr", french)):
        mail = templates(None, language).render(PROJECT1, MailCode.ORDER_CREATED, variables)

        assert f" 5 {name} 2026 07:05:03 UTC, " in mail.html


def test_each_tenant_has_its_language() -> None:
    """``RS_ORDER_MAIL_LANGUAGE`` sets a default and exceptions."""
    words = templates(None, "fr", "project2=en")

    subjects = [
        words.render(tenant, MailCode.ORDER_CREATED, CREATED).subject
        for tenant in (PROJECT1, PROJECT2)
    ]

    assert subjects == ["La commande numéro 42 est confirmée", "Order number 42 is confirmed"]


@pytest.mark.parametrize("texts", [["de"], ["project1=de"], ["=fr"], ["project1="], [""], ["EN"]])
def test_a_language_without_templates_is_rejected(texts: list[str]) -> None:
    """The error names it and lists the known languages."""
    with pytest.raises(ValueError, match=rf"{texts[0]!r} is neither a language \(en, fr\) nor"):
        Languages.parse(texts)


def test_a_tenants_template_replaces_the_packaged_one(tmp_path: Path) -> None:
    """Each file is looked up in the tenant's folder, then the common one, then the packaged ones."""
    (tmp_path / "project1").mkdir()
    (tmp_path / f"project1/{ORDER_CREATED}.html").write_text(
        "<p>{{ project }} {{ order_label }} {{ orders_url }}</p>"
    )
    (tmp_path / f"{ORDER_CREATED}.subject").write_text("{{ order_label }} & more\n")

    own, others = created(tmp_path), created(tmp_path, PROJECT2)

    assert own.html == "<p>project1 42 https://site/user/project1/orders</p>"
    assert own.subject == others.subject == "42 & more"
    assert others.html == PACKAGED.html
    assert own.faults == others.faults == ()


def test_a_template_that_changes_is_read_again(tmp_path: Path) -> None:
    """A correction needs no restart."""
    words = templates(tmp_path)
    template = tmp_path / f"{ORDER_CREATED}.html"
    texts = []
    for number, text in enumerate(["{{ wrong }}", "right", None]):
        if text is None:
            template.unlink()
        else:
            template.write_text(text)
            os.utime(template, (number, number))
        texts.append(words.render(PROJECT1, MailCode.ORDER_CREATED, CREATED).html)

    assert texts == [PACKAGED.html, "right", PACKAGED.html]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{{ order_labl }}", "'order_labl' is undefined"),
        ("{% if orders_ur %}x{% endif %}", "'orders_ur' is undefined"),
        ("{{ orders_url.host }}", "'str object' has no attribute 'host'"),
        ("\n{% if %}", "line 2: Expected an expression, got 'end of statement block'"),
        ("{{ order_label | nothing }}", "line 1: No filter named 'nothing'."),
        ("{{ 1 / 0 }}", "ZeroDivisionError: division by zero"),
        ("{{ 'x' | date }}", "ValueError: Invalid isoformat string: 'x'"),
        (
            "{% include 'elsewhere' %}",
            "'elsewhere' not found in search paths: '{0}/project1', '{0}'",
        ),
        (
            "{{ ''.__class__.__mro__ }}",
            "access to attribute '__class__' of 'str' object is unsafe.",
        ),
        ("{% for n in range(1000000000) %}{% endfor %}", "OverflowError: Range too big"),
        ("{{ 'x' * 10000000000 }}", "* is not for templates"),
        ("{{ 10 ** 10000000 }}", "** is not for templates"),
        ("{{ '\\ud800' }}", "UnicodeEncodeError: "),
        ("{# nothing #}", "ValueError: it renders to nothing"),
    ],
)
def test_a_failing_template_does_not_stop_the_mail(text: str, problem: str, tmp_path: Path) -> None:
    """The packaged template is used, and the fault names the file and the variable or line."""
    (tmp_path / f"{ORDER_CREATED}.html").write_text(text)

    mail = created(tmp_path)

    assert mail.html == PACKAGED.html
    (fault,) = mail.faults
    assert fault.template == f"{ORDER_CREATED}.html"
    assert fault.problem.startswith(problem.format(tmp_path))


def test_a_binary_template_does_not_stop_the_mail(tmp_path: Path) -> None:
    """Bytes that aren't UTF-8 are reported like any other fault."""
    (tmp_path / f"{ORDER_CREATED}.subject").write_bytes(b"\xff")

    mail = created(tmp_path)

    assert mail.subject == "Order number 42 is confirmed"
    (fault,) = mail.faults
    assert isinstance(fault, TemplateFault)
    assert fault.problem.startswith("UnicodeDecodeError: ")
