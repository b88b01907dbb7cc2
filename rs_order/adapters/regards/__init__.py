"""The REGARDS services rs-order calls over HTTP, one module each (remote-services.md)."""

from rs_order.adapters.regards.admin import RegardsUsers
from rs_order.adapters.regards.admin_instance import RegardsConnections, RegardsProjects
from rs_order.adapters.regards.catalog import RegardsCatalog
from rs_order.adapters.regards.dam import RegardsDatasetFiles
from rs_order.adapters.regards.external import ExternalAccess, ExternalFiles
from rs_order.adapters.regards.http import CallLimits, RemoteService, new_client
from rs_order.adapters.regards.processing import RegardsProcesses
from rs_order.adapters.regards.role_cache import RoleCache
from rs_order.adapters.regards.roles import RegardsRoles, RoleRights
from rs_order.adapters.regards.sources import RegardsFileSources
from rs_order.adapters.regards.storage import StoredFiles
from rs_order.adapters.regards.token_issuer import TokenIssuer

__all__ = [
    "CallLimits",
    "ExternalAccess",
    "ExternalFiles",
    "RegardsCatalog",
    "RegardsConnections",
    "RegardsDatasetFiles",
    "RegardsFileSources",
    "RegardsProcesses",
    "RegardsProjects",
    "RegardsRoles",
    "RegardsUsers",
    "RemoteService",
    "RoleCache",
    "RoleRights",
    "StoredFiles",
    "TokenIssuer",
    "new_client",
]
