"""What is said of an order whose inputs would need a second sub-order (domain.md 5.3)."""

from rs_order.domain.input_batches import SplitForbidden
from rs_order.domain.order import Order
from rs_order.domain.process import Process


def split_message(order: Order, process: Process, refusal: SplitForbidden) -> str:
    """The message of an order whose inputs would need a second sub-order (domain.md 5.3, W4)."""
    reached = refusal.reached

    def said(value: bool) -> str:
        return "true" if value else "false"

    return (
        f"order={order.id} processUuid={process.id} Suborder interrupted because one of the "
        f'following limit was reached : "MAX_EXTERNAL_BUCKET_FILE_COUNT" = {said(reached.max_inputs)}, '
        f'"MAX_STORAGE_BUCKET_SIZE" = {said(reached.max_bytes)}, '
        f'process info "FILES" = {said(reached.files)}, '
        f'process info "FEATURES" = {said(reached.features)}, '
        f'process info "BYTES" (size limit) = {said(reached.process_bytes)}\n'
        ". The order cannot be processed because the parameter forbidSplitInSuborders is active. "
        "Please decrease the number of items ordered or contact the administrator for more "
        "information."
    )
