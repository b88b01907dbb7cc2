"""The actions on orders and their REST routes (rest.md 7.6)."""

from dataclasses import dataclass
from functools import partial

from fastapi import APIRouter, Request, Response

from rs_order.actions.ask_again import AskStorageAgain
from rs_order.actions.delete import DeleteOrder, RemoveOrder
from rs_order.actions.pause import PauseOrder, ResumeOrder
from rs_order.actions.restart import RestartOrder
from rs_order.actions.retry_order import RetryOrder
from rs_order.actions.rights import Actor
from rs_order.contracts.order_bodies import OrderCreation, OrderDto
from rs_order.contracts.wire import Entity
from rs_order.domain.identity import Caller
from rs_order.domain.ids import OrderId
from rs_order.orders.create import OrderOptions, WithOrder
from rs_order.orders.representation import NewOrderAnswer
from rs_order.rest.access import Access, is_administrator, is_system
from rs_order.rest.keyed_requests import Keyed, KeyedAnswers
from rs_order.rest.middleware import facts_of
from rs_order.rest.parameters import OrderIdInPath
from rs_order.rest.resources import (
    ASK_STORAGE_AGAIN,
    DELETE_ORDER,
    PAUSE_ORDER,
    REMOVE_ORDER,
    RESTART_ORDER,
    RESUME_ORDER,
    RETRY_ORDER,
)
from rs_order.rest.routing import AuthorisedCaller, Endpoints
from rs_order.store.order_views import OrderViews
from rs_order.store.unit_of_work import retry_on_conflict


@dataclass(frozen=True, slots=True)
class OrderActions:
    """Runs the actions, and repeats those that conflict with another transaction.

    Raises:
        NotFound: there is no such order.
        ActionRejected: the status of the order, or the actor, doesn't allow the action (rest.md 4.4).
        RemoteUnavailable: rs-admin doesn't answer whether the actor is an administrator.
        StoreUnavailable: the database doesn't answer.
    """

    pause_order: PauseOrder
    resume_order: ResumeOrder
    delete_order: DeleteOrder
    remove_order: RemoveOrder
    restart_order: RestartOrder
    retry_order: RetryOrder
    ask_storage_again: AskStorageAgain

    async def pause(self, actor: Actor, order_id: OrderId) -> None:
        await retry_on_conflict(partial(self.pause_order.handle, actor, order_id))

    async def resume(self, actor: Actor, order_id: OrderId) -> None:
        await retry_on_conflict(partial(self.resume_order.handle, actor, order_id))

    async def delete(self, actor: Actor, order_id: OrderId) -> None:
        await retry_on_conflict(partial(self.delete_order.handle, actor, order_id))

    async def remove(self, actor: Actor, order_id: OrderId) -> None:
        await retry_on_conflict(partial(self.remove_order.handle, actor, order_id))

    async def restart(
        self,
        actor: Actor,
        order_id: OrderId,
        options: OrderOptions,
        with_order: WithOrder | None = None,
    ) -> OrderId:
        """Return the id of the new order. ``with_order``: called in its unit of work.

        Raises:
            LabelRejected: the label is too long, or the owner has an order with it.
        """
        return await retry_on_conflict(
            partial(self.restart_order.handle, actor, order_id, options, with_order)
        )

    async def retry(self, actor: Actor, order_id: OrderId) -> None:
        await retry_on_conflict(partial(self.retry_order.handle, actor, order_id))

    async def ask_again(self, actor: Actor, order_id: OrderId) -> int:
        """Return the number of sub-orders for which storage is asked again."""
        return await retry_on_conflict(partial(self.ask_storage_again.handle, actor, order_id))


_RESPONSES = {
    400: "The order id isn't a number, or the body can't be read",
    401: (
        "The token is missing or invalid, or the caller's rights or the order's status don't allow the "
        "action. In the second case the message is a code such as `ORDER_MUST_BE_PAUSED`"
    ),
    404: "There is no such order",
    503: "rs-admin or the database doesn't answer; nothing was changed",
}


def actions_router(
    access: Access, actions: OrderActions, orders: OrderViews, keyed: KeyedAnswers
) -> APIRouter:
    """Return the routes of all actions."""
    endpoints = Endpoints(access, tag="actions", keyed=keyed)
    _serve_pause(endpoints, actions)
    _serve_deletion(endpoints, actions)
    _serve_restart(endpoints, access, actions, orders)
    _serve_retry(endpoints, actions)
    return endpoints.router


def _serve_pause(endpoints: Endpoints, actions: OrderActions) -> None:
    @endpoints.serve(PAUSE_ORDER, responses=_RESPONSES)
    async def pause_order(
        request: Request, caller: AuthorisedCaller, order_id: OrderIdInPath
    ) -> Response:
        """Pause the order. It is PAUSED at once, and can be resumed at once."""
        await actions.pause(*_act(request, caller, order_id))
        return Response()

    @endpoints.serve(RESUME_ORDER, responses=_RESPONSES)
    async def resume_order(
        request: Request, caller: AuthorisedCaller, order_id: OrderIdInPath
    ) -> Response:
        """Resume the order where it was paused. Only unsettled files are requested again."""
        await actions.resume(*_act(request, caller, order_id))
        return Response()


def _serve_deletion(endpoints: Endpoints, actions: OrderActions) -> None:
    @endpoints.serve(DELETE_ORDER, responses=_RESPONSES)
    async def delete_order(
        request: Request, caller: AuthorisedCaller, order_id: OrderIdInPath
    ) -> Response:
        """Delete the files of the order. The order can still be read by its id."""
        await actions.delete(*_act(request, caller, order_id))
        return Response()

    @endpoints.serve(REMOVE_ORDER, responses=_RESPONSES)
    async def remove_order(
        request: Request, caller: AuthorisedCaller, order_id: OrderIdInPath
    ) -> Response:
        """Remove a deleted order and its basket."""
        await actions.remove(*_act(request, caller, order_id))
        return Response()


def _serve_restart(
    endpoints: Endpoints, access: Access, actions: OrderActions, orders: OrderViews
) -> None:
    @endpoints.serve(
        RESTART_ORDER,
        success=201,
        model=Entity[OrderDto],
        responses={
            **_RESPONSES,
            413: "The body is too long",
            415: "The body isn't JSON",
            422: "`TOO_MANY_CHARACTERS_IN_LABEL` or `LABEL_NOT_UNIQUE_FOR_OWNER`",
        },
        creates=True,
    )
    async def restart_order(
        request: Request,
        caller: AuthorisedCaller,
        order_id: OrderIdInPath,
        wanted: OrderCreation,
        work: Keyed,
    ) -> Response:
        """Create a new order of the same owner from a copy of the old order's basket."""
        options = OrderOptions(wanted.label, wanted.on_success_url or None)
        new = NewOrderAnswer(request, access, caller, work)
        created = await actions.restart(*_act(request, caller, order_id), options, new.with_order)
        return await new.answer(orders, created)


def _serve_retry(endpoints: Endpoints, actions: OrderActions) -> None:
    @endpoints.serve(RETRY_ORDER, responses=_RESPONSES)
    async def retry_order(
        request: Request, caller: AuthorisedCaller, order_id: OrderIdInPath
    ) -> Response:
        """Retry the files in error, and only these. The order is RUNNING at once."""
        await actions.retry(*_act(request, caller, order_id))
        return Response()

    @endpoints.serve(ASK_STORAGE_AGAIN, responses=_RESPONSES)
    async def ask_storage_again(
        request: Request, caller: AuthorisedCaller, order_id: OrderIdInPath
    ) -> Response:
        """Ask storage again for the files of a running order, before the next reminder is due."""
        await actions.ask_again(*_act(request, caller, order_id))
        return Response()


def _act(request: Request, caller: Caller, order_id: int) -> tuple[Actor, OrderId]:
    """Return the actor and the order. rs-admin needn't confirm roles that are always administrators."""
    facts_of(request.scope)["order"] = order_id
    return Actor(caller, is_administrator(caller) or is_system(caller)), OrderId(order_id)
