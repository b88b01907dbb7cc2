"""All available files of an order in one zip (rest.md 10.3)."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request, Response

from rs_order.application.download import ZipReport, ZipRequest, zip_order
from rs_order.domain.ids import OrderId
from rs_order.entrypoints.rest.content_disposition import name_for_order
from rs_order.entrypoints.rest.errors import Refused
from rs_order.entrypoints.rest.parameters import OrderIdInPath
from rs_order.entrypoints.rest.request_log import facts_of
from rs_order.entrypoints.rest.resources import DOWNLOAD_ORDER
from rs_order.entrypoints.rest.roles import may_see_orders_of
from rs_order.entrypoints.rest.routing import AuthorisedCaller, Endpoints
from rs_order.entrypoints.rest.services import RestServices
from rs_order.entrypoints.rest.streaming import StreamedDownload


def zips_router(services: RestServices) -> APIRouter:
    endpoints = Endpoints(services, tag="downloads")

    @endpoints.serve(
        DOWNLOAD_ORDER,
        responses={404: "There is no such order"},
        documented={
            200: {"content": {"application/octet-stream": {}}, "description": "The zip"},
            204: {"description": "The order has no available file"},
        },
    )
    async def download_order(
        request: Request, caller: AuthorisedCaller, order_id: OrderIdInPath
    ) -> Response:
        """The available files of an order, as one zip (rest.md 10.3)."""
        facts = facts_of(request.scope)
        facts["order"] = order_id
        order = await services.downloads.order(caller.tenant, OrderId(order_id))
        if order is None:
            raise Refused(404, f"There is no order {order_id}")
        if not may_see_orders_of(services.roles, caller, order.owner):
            raise Refused(403)
        if not order.has_available_files:
            return Response(status_code=204)
        now = services.clock.now()
        report = ZipReport()
        zip_request = ZipRequest(caller.tenant, order.id, caller.email, now)
        return StreamedDownload(
            zip_order(
                services.downloads,
                services.settle_downloads,
                services.sources,
                zip_request,
                report,
            ),
            filename=name_for_order(order.id, now, "zip"),
            on_end=lambda complete: facts.update(_known(report), complete=complete),
        )

    return endpoints.router


def _known(report: ZipReport) -> dict[str, Any]:
    return {name: value for name, value in asdict(report).items() if value is not None}
