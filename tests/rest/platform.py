"""What stands behind the endpoints of rest.md 11 where a test calls none of them."""

from typing import Any

from rs_order.entrypoints.rest import PlatformServices

_nothing: Any = None

NO_PLATFORM = PlatformServices(
    settings=_nothing,
    export_configuration=_nothing,
    import_configuration=_nothing,
    maintenance=_nothing,
    data_source=_nothing,
)
