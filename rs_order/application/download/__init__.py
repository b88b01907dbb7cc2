"""Handing out the files of an order as one zip (rest.md 10.3, domain.md 11.1)."""

from rs_order.application.download.order_zip import ZipReport, ZipRequest, zip_order

__all__ = ["ZipReport", "ZipRequest", "zip_order"]
