"""Identifiers, each with its own type."""

from typing import NewType

Tenant = NewType("Tenant", str)
"""A project; each has its own database schema."""

DatasetSelectionId = NewType("DatasetSelectionId", int)
OrderId = NewType("OrderId", int)
BasketId = NewType("BasketId", int)
DatasetTaskId = NewType("DatasetTaskId", int)
SubOrderId = NewType("SubOrderId", int)
DataFileId = NewType("DataFileId", int)
MailId = NewType("MailId", int)
RequestId = NewType("RequestId", int)
"""An order request in the inbox."""

Checksum = NewType("Checksum", str)
"""The key of a file in storage."""

Urn = NewType("Urn", str)
"""``URN:<oais>:<entity>:<tenant>:<uuid>:V<n>``: a product or a dataset in the catalog."""
