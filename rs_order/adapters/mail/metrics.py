"""How many mails were sent, and how many were not."""

from prometheus_client import Counter

_mails = Counter("rs_order_mails", "Mails by what became of them", ["kind", "outcome"])


def count_mail(kind: str, outcome: str) -> None:
    _mails.labels(kind, outcome).inc()
