"""What people do with their orders (rest.md 7.6, domain.md 12): each action decides on the locked order."""

from rs_order.application.act.delete_order import DeleteOrder, RemoveOrder
from rs_order.application.act.order_actions import OrderActions
from rs_order.application.act.pause_order import PauseOrder, ResumeOrder, StopSubOrders
from rs_order.application.act.regroup_files import RegroupFiles
from rs_order.application.act.restart_order import RestartOrder
from rs_order.application.act.retry_order import MoveFilesInError, RetryOrder, RetryOrderStep
from rs_order.application.act.rights import Actor, Rights

__all__ = [
    "Actor",
    "DeleteOrder",
    "MoveFilesInError",
    "OrderActions",
    "PauseOrder",
    "RegroupFiles",
    "RemoveOrder",
    "RestartOrder",
    "ResumeOrder",
    "RetryOrder",
    "RetryOrderStep",
    "Rights",
    "StopSubOrders",
]
