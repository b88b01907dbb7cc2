"""Mails: their words, the two ways they leave, and how many did."""

from rs_order.adapters.mail.metrics import count_mail
from rs_order.adapters.mail.smtp import SmtpMailer, SmtpServer
from rs_order.adapters.mail.templates import FolderTemplates, Language, Languages

__all__ = ["FolderTemplates", "Language", "Languages", "SmtpMailer", "SmtpServer", "count_mail"]
