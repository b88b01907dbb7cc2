"""Composes mails: computes the variables of a template and renders it (domain.md 16.2)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import structlog
from cachetools import TTLCache

from rs_order.core import responses
from rs_order.core.links import Links
from rs_order.domain.ids import Tenant
from rs_order.domain.instants import wire_instant
from rs_order.mails.templates import FolderTemplates
from rs_order.ports import (
    MailCode,
    OrderTokens,
    OrderTokensUnset,
    RenderedMail,
    TemplateFault,
    TokenHolder,
)
from rs_order.store.planned_mails import (
    CreatedOrder,
    DisabledWebhook,
    WaitingOrder,
    WaitingOrders,
)
from rs_order.store.unit_of_work import Store

DOWNLOADER = "https://github.com/RegardsOss/RegardsDownloader/releases"
_FAULTS_KEPT = 1000
_FAULT_SECONDS = 86_400.0
"""Administrators are notified of the same fault once in this time, not with every mail."""

log = structlog.get_logger(__name__)


class ComposeMail:
    """Composes the mails of a tenant.

    If a template of the tenant can't be used, the packaged one replaces it, and administrators are notified.
    """

    def __init__(
        self, store: Store, templates: FolderTemplates, links: Links, tokens: OrderTokens
    ) -> None:
        self._store = store
        self._templates = templates
        self._links = links
        self._tokens = tokens
        self._notified: TTLCache[tuple[Tenant, TemplateFault], bool] = TTLCache(
            _FAULTS_KEPT, _FAULT_SECONDS
        )

    async def order_created(self, tenant: Tenant, order: CreatedOrder) -> RenderedMail:
        """Return the confirmation of an order.

        Raises:
            RemoteUnavailable: the address of the project's site can't be determined.
        """
        links = await self._links.current(tenant)
        token = self._token(tenant, order)
        variables = {
            "project": tenant,
            "order_label": str(order.id),
            "expiration_date": wire_instant(order.expires_at),
            "metalink_download_url": links.public_metalink(token, tenant) if token else "",
            "regards_downloader_url": DOWNLOADER,
            "orders_url": await self._links.page(tenant, order.front_url),
        }
        return await self._render(tenant, MailCode.ORDER_CREATED, variables)

    async def reminder(self, tenant: Tenant, orders: WaitingOrders) -> RenderedMail:
        """Return the reminder of the orders whose files wait for their download."""
        variables = {
            "project": tenant,
            "orders": [_described(order) for order in orders.first],
            "more_orders": orders.total - len(orders.first),
        }
        return await self._render(tenant, MailCode.ASIDE_ORDERS, variables)

    async def webhook_disabled(self, tenant: Tenant, webhook: DisabledWebhook) -> RenderedMail:
        """Return the notice that a webhook gets nothing any more."""
        variables = {
            "project": tenant,
            "url": webhook.url,
            "webhook_label": webhook.label or "",
            "reason": webhook.because.value,
        }
        return await self._render(tenant, MailCode.WEBHOOK_DISABLED, variables)

    def _token(self, tenant: Tenant, order: CreatedOrder) -> str | None:
        """Issue an order token to the owner (W24). None without a key: the mail then has no metalink."""
        holder = TokenHolder(order.id, order.owner, order.role, order.expires_at)
        try:
            return self._tokens.issue(tenant, holder)
        except OrderTokensUnset:
            log.warning("mail-without-metalink", order=order.id, set="RS_ORDER_ORDER_SECRET")
            return None

    async def _render(
        self, tenant: Tenant, code: MailCode, variables: Mapping[str, Any]
    ) -> RenderedMail:
        rendered = self._templates.render(tenant, code, variables)
        for fault in rendered.faults:
            if (tenant, fault) not in self._notified:
                self._notified[tenant, fault] = True
                log.error("mail-template-unusable", template=fault.template, cause=fault.problem)
                await self._store.send(
                    [responses.unusable_template(tenant, fault.template, fault.problem)]
                )
        return rendered


def _described(order: WaitingOrder) -> dict[str, Any]:
    return {
        "label": order.label,
        "creationDate": wire_instant(order.created_at),
        "expirationDate": _optional(order.expires_at),
        "availableFilesCount": order.available_files,
        "availableUpdateDate": wire_instant(order.available_at),
    }


def _optional(at: datetime | None) -> str | None:
    return None if at is None else wire_instant(at)
