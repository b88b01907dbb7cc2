"""Handing out the files of an order: one, all in a zip, or a list for download tools (rest.md 10)."""

from rs_order.application.download.metalink import Metalinks
from rs_order.application.download.order_zip import OrderGone, ZipReport, ZipRequest, zip_order
from rs_order.application.download.single_file import (
    Delivery,
    FileReport,
    FileRequest,
    deliver,
)

__all__ = [
    "Delivery",
    "FileReport",
    "FileRequest",
    "Metalinks",
    "OrderGone",
    "ZipReport",
    "ZipRequest",
    "deliver",
    "zip_order",
]
