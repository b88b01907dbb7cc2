"""The router of the console."""

from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter, Response

from rs_order.actions.routes import OrderActions
from rs_order.console.all_orders import AllOrders, serve_all_orders
from rs_order.console.assets import read_assets, serve_assets
from rs_order.console.audit_routes import serve_audit
from rs_order.console.downloads import serve_downloads
from rs_order.console.letter_routes import LetterReads, serve_letters
from rs_order.console.live import Live, serve_live
from rs_order.console.new_order_routes import NewOrders, serve_new_orders
from rs_order.console.order_acts import serve_order_acts
from rs_order.console.order_routes import OrderReads, serve_orders
from rs_order.console.overview_routes import OverviewReads, serve_overview
from rs_order.console.project_routes import ProjectReads, serve_projects
from rs_order.console.queue_routes import QueueReads, serve_queue
from rs_order.console.sessions import Sessions
from rs_order.console.settings_routes import SettingReads, serve_settings
from rs_order.console.sign_in import SignInServices, sign_in_router
from rs_order.console.standing_routes import StandingReads, serve_standing
from rs_order.console.templates import Templates
from rs_order.console.visits import NAVIGATION, Frame, Pages, Visiting, redirect
from rs_order.contracts.platform_names import PUBLIC
from rs_order.downloads.archive_routes import ArchiveServices
from rs_order.ports import Authentication, Clock, Resource
from rs_order.rest.access import Access
from rs_order.store.order_views import OrderViews
from rs_order.store.wrong_passwords import WrongPasswords

ENTER: Final = Resource("GET", "/console/", PUBLIC, "Console", "Enter the console", of_tenant=False)


@dataclass(frozen=True, slots=True)
class ConsoleServices:
    """The services of all pages."""

    sessions: Sessions
    wrong: WrongPasswords
    authentication: Authentication | None
    clock: Clock
    orders: OrderReads
    new_orders: NewOrders
    views: OrderViews
    actions: OrderActions
    archives: ArchiveServices
    letters: LetterReads
    live: Live
    overview: OverviewReads
    queue: QueueReads
    settings: SettingReads
    standing: StandingReads
    projects: ProjectReads


def console_router(access: Access, services: ConsoleServices) -> APIRouter:
    assets = read_assets()
    frame = Frame(access, services.sessions, Templates(assets), services.clock)
    pages = Pages(frame)
    _serve_entry(pages)
    serve_all_orders(
        pages, AllOrders(services.orders, services.views, services.actions, services.live)
    )
    serve_orders(pages, services.orders, services.live)
    serve_order_acts(pages, services.orders.pages, services.actions)
    serve_new_orders(pages, services.new_orders)
    serve_downloads(pages, services.archives)
    serve_letters(pages, services.letters)
    serve_audit(pages, services.letters.audit)
    serve_live(pages, services.live)
    serve_overview(pages, services.overview)
    serve_queue(pages, services.queue)
    serve_settings(pages, services.settings)
    serve_standing(pages, services.standing)
    serve_projects(pages, services.projects)
    router = APIRouter(include_in_schema=False)
    serve_assets(router, assets)
    services_of_entry = SignInServices(frame, services.authentication, services.wrong)
    router.routes.extend(sign_in_router(services_of_entry).routes)
    router.routes.extend(pages.router.routes)
    return router


def _serve_entry(pages: Pages) -> None:
    @pages.page("/", ENTER)
    async def enter(visit: Visiting) -> Response:
        """Lead operators to the overview, and users to their orders."""
        found = [one for one in NAVIGATION if visit.may(one.resource)]
        return redirect(f"{visit.root}/{found[0].path if found else 'my-orders'}")
