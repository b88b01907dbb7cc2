"""A file of an order as it is answered (rest.md 5.7, 5.8)."""

from rs_order.application.links import DownloadLinks
from rs_order.contracts.data_file import OrderDataFile, OrderDataFileDTO
from rs_order.store.file_views import FileView


def data_file(view: FileView) -> OrderDataFile:
    return OrderDataFile(
        id=view.id,
        state=view.state,
        order_id=view.order_id,
        files_task_id=view.sub_order_id,
        ip_id=view.product_urn,
        download_error=view.reason,
        product_id=view.product_id,
        version=view.product_version,
        data_type=view.data_type,
        reference=view.external,
        uri=view.url,
        mime_type=view.mime_type,
        online=view.online,
        checksum=view.checksum,
        digest_algorithm=view.checksum_algorithm,
        filesize=view.size,
        filename=view.name,
    )


def available_file(view: FileView, links: DownloadLinks) -> OrderDataFileDTO:
    return OrderDataFileDTO(
        id=view.id,
        product_id=view.product_id,
        version=view.product_version,
        download_url=links.of_file(view.id),
        mime_type=view.mime_type,
        checksum=view.checksum,
        filesize=view.size,
        filename=view.name,
    )
