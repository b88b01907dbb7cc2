"""The REST application: routers, what wraps them, and nothing of what they do."""

from fastapi import FastAPI

from rs_order.entrypoints.rest.actions import actions_router
from rs_order.entrypoints.rest.actuator import actuator_router
from rs_order.entrypoints.rest.addresses import PUBLIC_PREFIX
from rs_order.entrypoints.rest.api_docs import api_docs_router
from rs_order.entrypoints.rest.baskets import baskets_router
from rs_order.entrypoints.rest.data_source import data_source_router
from rs_order.entrypoints.rest.errors import install_error_answers
from rs_order.entrypoints.rest.file_downloads import file_downloads_router
from rs_order.entrypoints.rest.file_lists import file_lists_router
from rs_order.entrypoints.rest.forwarded import ForwardedHeaders
from rs_order.entrypoints.rest.headers import CommonHeaders
from rs_order.entrypoints.rest.maintenance import maintenance_router
from rs_order.entrypoints.rest.metalinks import metalinks_router
from rs_order.entrypoints.rest.modules import modules_router
from rs_order.entrypoints.rest.openapi import DescribedApp
from rs_order.entrypoints.rest.order_search import order_search_router
from rs_order.entrypoints.rest.orders import orders_router
from rs_order.entrypoints.rest.query_token import QueryToken
from rs_order.entrypoints.rest.request_log import RequestLog
from rs_order.entrypoints.rest.security import security_router
from rs_order.entrypoints.rest.services import RestServices
from rs_order.entrypoints.rest.settings import settings_router
from rs_order.entrypoints.rest.zips import zips_router


def create_app(services: RestServices, *, only_actuator: bool = False) -> FastAPI:
    """The application, answering on ``/`` and on the public prefix.

    Args:
        services: what the answers are made of.
        only_actuator: health and metrics and nothing else, for a process that only works.
    """
    app = DescribedApp()
    routers = [actuator_router(services)]
    if not only_actuator:
        # Metalinks come before what would take "metalink" for the number of an order.
        routers += [
            metalinks_router(services),
            baskets_router(services),
            orders_router(services),
            actions_router(services),
            order_search_router(services),
            file_lists_router(services),
            zips_router(services),
            file_downloads_router(services),
            settings_router(services),
            maintenance_router(services),
            modules_router(services),
            data_source_router(services),
            security_router(services),
            api_docs_router(app),
        ]
    for router in routers:
        app.include_router(router)
        app.include_router(router, prefix=PUBLIC_PREFIX, include_in_schema=False)
    install_error_answers(app)
    # The last one added is the first to see a request.
    if services.settings.token_in_query:
        app.add_middleware(QueryToken)
    app.add_middleware(CommonHeaders, origins=services.settings.cross_origins)
    app.add_middleware(RequestLog)
    app.add_middleware(ForwardedHeaders, trusted=services.settings.trusted_proxies)
    return app
