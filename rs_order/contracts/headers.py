"""Headers and content of AMQP messages, as the platform's services read them (amqp.md 1.7)."""

from typing import Final

TENANT_HEADER: Final = "regards.tenant"
TYPE_HEADER: Final = "regards.type"
"""The Java class of the message."""
CONVERTER_HEADER: Final = "regards.converter"
GSON: Final = "GSON"
"""The converter of all messages of this service."""
CONTENT_TYPE: Final = "application/json"
CONTENT_ENCODING: Final = "UTF-8"
