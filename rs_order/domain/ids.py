"""Identifiers, each its own type so that none is taken for another."""

from typing import NewType

Tenant = NewType("Tenant", str)
"""A project; one database schema each."""

DatasetSelectionId = NewType("DatasetSelectionId", int)
OrderId = NewType("OrderId", int)
BasketId = NewType("BasketId", int)
DatasetTaskId = NewType("DatasetTaskId", int)
SubOrderId = NewType("SubOrderId", int)
DataFileId = NewType("DataFileId", int)
MailId = NewType("MailId", int)
RequestId = NewType("RequestId", int)
"""An order request as the inbox remembers it, granted or not."""

Checksum = NewType("Checksum", str)
"""The key under which storage knows a file."""

Urn = NewType("Urn", str)
"""``URN:<oais>:<entity>:<tenant>:<uuid>:V<n>``: a product or a dataset in the catalog."""
