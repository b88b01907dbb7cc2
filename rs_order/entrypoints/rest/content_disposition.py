"""Under which name a client stores what it is sent (RFC 6266)."""

import re
import unicodedata
from datetime import datetime
from typing import Final
from urllib.parse import quote

from rs_order.application.download.entry_names import safe_name
from rs_order.domain.ids import OrderId

_NOT_PLAIN: Final = re.compile(r"[^ !#$&\'()+,\-.0-9:;<=>@A-Z\[\]^_`a-z{|}~]")
"""Quotes, backslashes, percent signs, stars: what clients read in different ways, or not at all."""


def name_for_order(order_id: OrderId, at: datetime, extension: str) -> str:
    """What is sent of a whole order is called: no ``:``, which not every file system takes (decisions.md)."""
    return f"order_{order_id}_{at:%Y-%m-%dT%H-%M-%S.%f}Z.{extension}"


def attachment(name: str) -> str:
    """The header for a name in any script; it can hold neither folders nor a header of its own.

    What isn't plain ASCII comes twice: as near as ASCII gets, for old clients, and as it is.
    """
    name = safe_name(name)
    plain = _NOT_PLAIN.sub("_", _without_accents(name))
    header = f'attachment; filename="{plain}"'
    if plain == name:
        return header
    return f"{header}; filename*=UTF-8''{quote(name, safe='')}"


def _without_accents(text: str) -> str:
    return "".join(
        character
        for character in unicodedata.normalize("NFKD", text)
        if not unicodedata.combining(character)
    )
