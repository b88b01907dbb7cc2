"""How responses and numbers read on a terminal."""

from rs_order.demo.peer import Heard

KIBI = 1024


def response_line(heard: Heard) -> str:
    """A response in one line, with its delay since the request."""
    response = heard.response
    parts = [f"+{heard.seconds:6.2f} s", f"{response.status.value:<13}"]
    if response.order_id is not None:
        parts.append(f"order {response.order_id}")
    if response.sub_order_id is not None:
        parts.append(f"sub-order {response.sub_order_id} ({response.total_sub_orders} in all)")
    if response.error_type is not None:
        parts.append(response.error_type.value)
    if response.message:
        parts.append(f"“{response.message}”")
    return "  ".join(parts)


def size_of(count: float) -> str:
    """Bytes in the unit that suits them."""
    for unit in ("B", "KiB", "MiB"):
        if count < KIBI:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= KIBI
    return f"{count:.1f} GiB"


def counted_files(count: int) -> str:
    return f"{count} file" if count == 1 else f"{count} files"
