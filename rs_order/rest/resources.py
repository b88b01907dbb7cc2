"""Every endpoint a role can be given, as rs-admin and the web interface know it (rest.md 2.3).

Templates and the names of their variables are a contract: the interface compares strings such as
``rs-order@/user/orders/pause/{orderId}@PUT``.
"""

from typing import Final

from rs_order.contracts.platform_names import (
    ADMIN,
    EXPLOIT,
    INSTANCE_ADMIN,
    PROJECT_ADMIN,
    PUBLIC,
    REGISTERED_USER,
)
from rs_order.ports import Resource

_BASKETS: Final = "BasketController"
GET_BASKET: Final = Resource(
    "GET", "/order/basket", REGISTERED_USER, _BASKETS, "Get the user's basket"
)
EMPTY_BASKET: Final = Resource(
    "DELETE", "/order/basket", REGISTERED_USER, _BASKETS, "Empty the user's basket"
)
SELECT_PRODUCTS: Final = Resource(
    "POST",
    "/order/basket/selection",
    REGISTERED_USER,
    _BASKETS,
    "Add what a search finds to the basket",
)
UPLOAD_PRODUCT_IDS: Final = Resource(
    "POST",
    "/order/basket/selection/upload",
    REGISTERED_USER,
    _BASKETS,
    "Add the products named in a file to the basket",
)
SET_PROCESSING: Final = Resource(
    "PUT",
    "/order/basket/dataset/{datasetSelectionId}/updateProcessing",
    REGISTERED_USER,
    _BASKETS,
    "Attach a process to a dataset of the basket, or take it away",
)
SET_FILE_FILTER: Final = Resource(
    "PUT",
    "/order/basket/dataset/{datasetSelectionId}/updateFileFilters",
    REGISTERED_USER,
    _BASKETS,
    "Choose which files of a dataset of the basket are ordered",
)
REMOVE_DATASET: Final = Resource(
    "DELETE",
    "/order/basket/dataset/{datasetSelectionId}",
    REGISTERED_USER,
    _BASKETS,
    "Take a dataset out of the basket",
)
REMOVE_DATED_SELECTION: Final = Resource(
    "DELETE",
    "/order/basket/dataset/{datasetSelectionId}/{itemsSelectionDate}",
    REGISTERED_USER,
    _BASKETS,
    "Take one search out of a dataset of the basket",
)

_ORDERS: Final = "OrderController"
CREATE_ORDER: Final = Resource(
    "POST", "/user/orders", REGISTERED_USER, _ORDERS, "Order what is in the basket"
)
CREATE_ADMIN_ORDER: Final = Resource(
    "POST",
    "/orders",
    ADMIN,
    _ORDERS,
    "Order what is in the basket, with the times of automatic orders",
)
APPLY_ORDER: Final = Resource(
    "POST",
    "/user/orders/apply",
    REGISTERED_USER,
    _ORDERS,
    "Order what queries find, without a basket",
)
LIST_ORDERS: Final = Resource(
    "GET", "/user/orders", REGISTERED_USER, _ORDERS, "List the user's own orders"
)
GET_ORDER: Final = Resource(
    "GET", "/user/orders/{orderId}", REGISTERED_USER, _ORDERS, "Get an order"
)
PAUSE_ORDER: Final = Resource(
    "PUT", "/user/orders/pause/{orderId}", REGISTERED_USER, _ORDERS, "Pause an order"
)
RESUME_ORDER: Final = Resource(
    "PUT", "/user/orders/resume/{orderId}", REGISTERED_USER, _ORDERS, "Resume a paused order"
)
RESTART_ORDER: Final = Resource(
    "POST",
    "/user/orders/{orderId}/restart",
    REGISTERED_USER,
    _ORDERS,
    "Order again what a finished order was made of",
)
RETRY_ORDER: Final = Resource(
    "PUT",
    "/user/orders/{orderId}/retry",
    REGISTERED_USER,
    _ORDERS,
    "Ask again for the files in error of a finished order",
)
DELETE_ORDER: Final = Resource(
    "DELETE", "/user/orders/{orderId}", REGISTERED_USER, _ORDERS, "Delete an order's files"
)
REMOVE_ORDER: Final = Resource(
    "DELETE",
    "/user/orders/remove/{orderId}",
    INSTANCE_ADMIN,
    _ORDERS,
    "Remove every trace of a deleted order",
)
SEARCH_ORDERS: Final = Resource(
    "POST", "/orders/search", EXPLOIT, _ORDERS, "Search the orders of all users"
)
EXPORT_ORDERS: Final = Resource(
    "POST", "/orders/csv", EXPLOIT, _ORDERS, "Search the orders of all users, as CSV"
)
DOWNLOAD_ORDER: Final = Resource(
    "GET",
    "/user/orders/{orderId}/download",
    REGISTERED_USER,
    _ORDERS,
    "Download the available files of an order as one zip",
)
GET_METALINK: Final = Resource(
    "GET",
    "/user/orders/{orderId}/metalink/download",
    REGISTERED_USER,
    _ORDERS,
    "Get the metalink of an order",
)
GET_PUBLIC_METALINK: Final = Resource(
    "GET",
    "/user/orders/metalink/download",
    PUBLIC,
    _ORDERS,
    "Get the metalink of the order that an order token names",
)
GET_METALINK_4: Final = Resource(
    "GET",
    "/user/orders/{orderId}/order_{documentId}.meta4",
    REGISTERED_USER,
    _ORDERS,
    "Get the metalink of an order in version 4",
)
GET_PUBLIC_METALINK_4: Final = Resource(
    "GET",
    "/orders/public/order_{orderId}.meta4",
    PUBLIC,
    _ORDERS,
    "Get the metalink of an order in version 4 with its order token",
)
GET_FILE_LIST: Final = Resource(
    "GET",
    "/user/orders/{orderId}/files.{kind}",
    REGISTERED_USER,
    _ORDERS,
    "List the files of an order for a download tool",
)
GET_PUBLIC_FILE_LIST: Final = Resource(
    "GET",
    "/orders/public/files.{kind}",
    PUBLIC,
    _ORDERS,
    "List the files of the order that an order token names for a download tool",
)

_FILES: Final = "OrderDataFileController"
LIST_DATASET_FILES: Final = Resource(
    "GET",
    "/orders/{orderId}/dataset/{datasetId}/files",
    REGISTERED_USER,
    _FILES,
    "List the files of one dataset of an order",
)
DOWNLOAD_FILE: Final = Resource(
    "GET", "/orders/files/{dataFileId}", REGISTERED_USER, _FILES, "Download one file"
)
DOWNLOAD_PUBLIC_FILE: Final = Resource(
    "GET",
    "/orders/public/files/{dataFileId}",
    PUBLIC,
    _FILES,
    "Download one file of the order that an order token names",
)
TEST_PUBLIC_FILE: Final = Resource(
    "HEAD",
    "/orders/public/files/{dataFileId}",
    PUBLIC,
    _FILES,
    "Learn whether a file can be downloaded with an order token",
)

_AVAILABLE_FILES: Final = "OrderDataFileAvailableController"
LIST_AVAILABLE_FILES: Final = Resource(
    "GET",
    "/orders/{orderId}/files/available",
    REGISTERED_USER,
    _AVAILABLE_FILES,
    "List the files of an order that can be downloaded",
)
LIST_AVAILABLE_FILES_OF_SUB_ORDER: Final = Resource(
    "GET",
    "/orders/{orderId}/filesTask/{filesTaskId}/files/available",
    REGISTERED_USER,
    _AVAILABLE_FILES,
    "List the files of a sub-order that can be downloaded",
)

_SETTINGS: Final = "DynamicTenantSettingController"
LIST_SETTINGS: Final = Resource(
    "GET", "/settings", ADMIN, _SETTINGS, "List the settings of the project"
)
UPDATE_SETTING: Final = Resource(
    "PUT", "/settings/{name}", ADMIN, _SETTINGS, "Change a setting of the project"
)
RESET_SETTING: Final = Resource(
    "DELETE", "/settings/{name}", ADMIN, _SETTINGS, "Give a setting of the project its default"
)

_MAINTENANCE: Final = "MaintenanceController"
GET_MAINTENANCE: Final = Resource(
    "GET",
    "/maintenance",
    PROJECT_ADMIN,
    _MAINTENANCE,
    "Tell which projects are in maintenance",
    of_tenant=False,
)
ENABLE_MAINTENANCE: Final = Resource(
    "PUT",
    "/maintenance/{tenant}/enable",
    PROJECT_ADMIN,
    _MAINTENANCE,
    "Refuse all changes in a project",
    of_tenant=False,
)
DISABLE_MAINTENANCE: Final = Resource(
    "PUT",
    "/maintenance/{tenant}/disable",
    PROJECT_ADMIN,
    _MAINTENANCE,
    "Allow changes in a project again",
    of_tenant=False,
)

_MODULES: Final = "ModuleManagerController"
CHECK_CONFIGURATION: Final = Resource(
    "GET",
    "/microservice/configuration/enabled",
    PROJECT_ADMIN,
    _MODULES,
    "Tell whether the configuration can be exported and imported",
)
EXPORT_CONFIGURATION: Final = Resource(
    "GET", "/microservice/configuration", PROJECT_ADMIN, _MODULES, "Export the configuration"
)
IMPORT_CONFIGURATION: Final = Resource(
    "POST", "/microservice/configuration", PROJECT_ADMIN, _MODULES, "Import a configuration"
)
CHECK_READINESS: Final = Resource(
    "GET",
    "/microservice/ready/enabled",
    PROJECT_ADMIN,
    _MODULES,
    "Tell whether the service says when it is ready",
)
GET_READINESS: Final = Resource(
    "GET", "/microservice/ready", PROJECT_ADMIN, _MODULES, "Tell whether the service is ready"
)
CHECK_RESTART: Final = Resource(
    "GET",
    "/microservice/restart/enabled",
    PROJECT_ADMIN,
    _MODULES,
    "Tell whether modules can be restarted",
)
RESTART_MODULES: Final = Resource(
    "GET", "/microservice/restart", PROJECT_ADMIN, _MODULES, "Restart the modules"
)

_DATA_SOURCE: Final = "JpaMultitenantController"
TEST_DATA_SOURCE: Final = Resource(
    "GET",
    "/regards/{tenant}/datasource/test",
    ADMIN,
    _DATA_SOURCE,
    "Test the database of a project",
    of_tenant=False,
)
GET_DATA_SOURCE_STATUS: Final = Resource(
    "GET",
    "/regards/{tenant}/datasource/status",
    PUBLIC,
    _DATA_SOURCE,
    "Tell how the database connections of a project are used",
    of_tenant=False,
)

_AUDIT: Final = "AuditController"
READ_AUDIT: Final = Resource(
    "GET", "/audit", EXPLOIT, _AUDIT, "Read who changed what in the project", of_tenant=False
)
EXPORT_AUDIT: Final = Resource(
    "GET",
    "/audit/csv",
    EXPLOIT,
    _AUDIT,
    "Read who changed what in the project, as CSV",
    of_tenant=False,
)

_DEAD_LETTERS: Final = "DeadLetterController"


def _dead_letters(verb: str, path: str, description: str) -> Resource:
    """Return a resource for dead letters, which may belong to a project that isn't served."""
    template = f"/dead-letters{path}"
    return Resource(verb, template, EXPLOIT, _DEAD_LETTERS, description, of_tenant=False)


LIST_DEAD_LETTERS: Final = _dead_letters("GET", "", "List dead letters")
REPLAY_DEAD_LETTERS: Final = _dead_letters("POST", "/replay", "Replay named dead letters")
DISCARD_DEAD_LETTERS: Final = _dead_letters("POST", "/discard", "Discard named dead letters")
START_DEAD_LETTER_RUN: Final = _dead_letters(
    "POST", "/runs", "Replay or discard all dead letters that match a filter"
)
GET_DEAD_LETTER_RUN: Final = _dead_letters(
    "GET", "/runs/{runId}", "Get the progress of an act on many dead letters"
)
CANCEL_DEAD_LETTER_RUN: Final = _dead_letters(
    "DELETE", "/runs/{runId}", "Stop an act on many dead letters"
)
GET_DEAD_LETTER: Final = _dead_letters("GET", "/{letterId}", "Get a dead letter with its body")
REPLAY_DEAD_LETTER: Final = _dead_letters(
    "POST", "/{letterId}/replay", "Replay a dead letter, with a corrected body if there is one"
)

ASK_STORAGE_AGAIN: Final = Resource(
    "PUT",
    "/orders/{orderId}/ask-again",
    PROJECT_ADMIN,
    _ORDERS,
    "Ask storage again for the files of a running order",
)

_HOLDS: Final = "HoldController"
LIST_HOLDS: Final = Resource(
    "GET", "/holds", PROJECT_ADMIN, _HOLDS, "List what is held", of_tenant=False
)
BEGIN_HOLD: Final = Resource(
    "POST", "/holds", PROJECT_ADMIN, _HOLDS, "Hold a project, a user or an order", of_tenant=False
)
END_HOLD: Final = Resource(
    "DELETE", "/holds/{holdId}", PROJECT_ADMIN, _HOLDS, "End a hold", of_tenant=False
)
PREVIEW_HOLD: Final = Resource(
    "POST", "/holds/preview", PROJECT_ADMIN, _HOLDS, "See who would start next", of_tenant=False
)

_SHARES: Final = "ShareController"
SHOW_QUEUE: Final = Resource(
    "GET", "/queue", PROJECT_ADMIN, _SHARES, "See who starts next", of_tenant=False
)
LIST_SHARES: Final = Resource(
    "GET", "/shares", PROJECT_ADMIN, _SHARES, "List weights and recent uses", of_tenant=False
)
CHANGE_SHARE: Final = Resource(
    "PUT", "/shares", PROJECT_ADMIN, _SHARES, "Set a weight", of_tenant=False
)
PREVIEW_SHARE: Final = Resource(
    "POST",
    "/shares/preview",
    PROJECT_ADMIN,
    _SHARES,
    "See who would start next with a weight",
    of_tenant=False,
)

LIST_LIMITS: Final = Resource(
    "GET", "/limits", PROJECT_ADMIN, _SHARES, "List limits at storage", of_tenant=False
)
CHANGE_LIMIT: Final = Resource(
    "PUT", "/limits", PROJECT_ADMIN, _SHARES, "Set a limit at storage", of_tenant=False
)
PREVIEW_LIMIT: Final = Resource(
    "POST",
    "/limits/preview",
    PROJECT_ADMIN,
    _SHARES,
    "See who would start next with a limit",
    of_tenant=False,
)

_PROGRESS: Final = "OrderProgressController"
GET_PROGRESS: Final = Resource(
    "GET",
    "/user/orders/{orderId}/progress",
    REGISTERED_USER,
    _PROGRESS,
    "Get how far an order is, and why it isn't further",
)
LIST_SUB_ORDER_PROGRESS: Final = Resource(
    "GET",
    "/user/orders/{orderId}/progress/suborders",
    REGISTERED_USER,
    _PROGRESS,
    "List the sub-orders of an order, and why each isn't further",
)

GET_CALIBRATION: Final = Resource(
    "GET", "/estimates/calibration", EXPLOIT, _PROGRESS, "See how expected times came true"
)

_QUOTES: Final = "QuoteController"
MAKE_QUOTE: Final = Resource(
    "POST", "/orders/quote", REGISTERED_USER, _QUOTES, "Learn what an order would be"
)
GET_QUOTE: Final = Resource(
    "GET", "/orders/quotes/{quoteId}", REGISTERED_USER, _QUOTES, "Get a quote"
)

_EVENTS: Final = "EventController"
LIST_EVENTS: Final = Resource(
    "GET", "/events", REGISTERED_USER, _EVENTS, "Hear what happens to orders"
)
STREAM_EVENTS: Final = Resource(
    "GET", "/events/stream", REGISTERED_USER, _EVENTS, "Hear what happens to orders as it happens"
)
GET_EVENT_SCHEMA: Final = Resource(
    "GET",
    "/schemas/events-1.json",
    PUBLIC,
    _EVENTS,
    "Get the JSON schema of the data of events",
    of_tenant=False,
)

_SUBSCRIPTIONS: Final = "SubscriptionController"
ADD_SUBSCRIPTION: Final = Resource(
    "POST", "/subscriptions", REGISTERED_USER, _SUBSCRIPTIONS, "Subscribe to events of orders"
)
LIST_SUBSCRIPTIONS: Final = Resource(
    "GET", "/subscriptions", REGISTERED_USER, _SUBSCRIPTIONS, "List subscriptions to events"
)
GET_SUBSCRIPTION: Final = Resource(
    "GET",
    "/subscriptions/{subscriptionId}",
    REGISTERED_USER,
    _SUBSCRIPTIONS,
    "Get a subscription to events",
)
CHANGE_SUBSCRIPTION: Final = Resource(
    "PUT",
    "/subscriptions/{subscriptionId}",
    REGISTERED_USER,
    _SUBSCRIPTIONS,
    "Change a subscription to events",
)
REMOVE_SUBSCRIPTION: Final = Resource(
    "DELETE",
    "/subscriptions/{subscriptionId}",
    REGISTERED_USER,
    _SUBSCRIPTIONS,
    "End a subscription to events",
)
LIST_SUBSCRIBED_EVENTS: Final = Resource(
    "GET",
    "/subscriptions/{subscriptionId}/events",
    REGISTERED_USER,
    _SUBSCRIPTIONS,
    "Get the events of a subscription that aren't acknowledged",
)
ACKNOWLEDGE_EVENTS: Final = Resource(
    "POST",
    "/subscriptions/{subscriptionId}/ack",
    REGISTERED_USER,
    _SUBSCRIPTIONS,
    "Acknowledge the events of a subscription",
)
TEST_WEBHOOK: Final = Resource(
    "POST",
    "/subscriptions/{subscriptionId}/test",
    REGISTERED_USER,
    _SUBSCRIPTIONS,
    "Send a test event to a webhook",
)
CHANGE_SECRET: Final = Resource(
    "POST",
    "/subscriptions/{subscriptionId}/secret",
    REGISTERED_USER,
    _SUBSCRIPTIONS,
    "Give a webhook a new secret",
)
REPLAY_EVENTS: Final = Resource(
    "POST",
    "/subscriptions/{subscriptionId}/replay",
    REGISTERED_USER,
    _SUBSCRIPTIONS,
    "Send events to a webhook again",
)
LIST_DELIVERIES: Final = Resource(
    "GET",
    "/subscriptions/{subscriptionId}/deliveries",
    REGISTERED_USER,
    _SUBSCRIPTIONS,
    "List the deliveries of a webhook",
)

_ARCHIVES: Final = "ArchiveController"
MAKE_ARCHIVE: Final = Resource(
    "POST",
    "/user/orders/{orderId}/archives",
    REGISTERED_USER,
    _ARCHIVES,
    "Make an archive of an order that can be downloaded in parts",
)
LIST_ARCHIVES: Final = Resource(
    "GET",
    "/user/orders/{orderId}/archives",
    REGISTERED_USER,
    _ARCHIVES,
    "List the archives of an order",
)
GET_ARCHIVE: Final = Resource(
    "GET",
    "/user/orders/{orderId}/archives/{archiveId}",
    REGISTERED_USER,
    _ARCHIVES,
    "Describe an archive",
)
GET_ARCHIVE_MANIFEST: Final = Resource(
    "GET",
    "/user/orders/{orderId}/archives/{archiveId}/manifest",
    REGISTERED_USER,
    _ARCHIVES,
    "List the files of an archive with their hashes",
)
DOWNLOAD_ARCHIVE: Final = Resource(
    "GET",
    "/user/orders/{orderId}/archives/{archiveId}/{name}",
    REGISTERED_USER,
    _ARCHIVES,
    "Download an archive, or a part of it",
)
DOWNLOAD_PUBLIC_ARCHIVE: Final = Resource(
    "GET",
    "/orders/public/archives/{archiveId}/{name}",
    PUBLIC,
    _ARCHIVES,
    "Download an archive of the order that an order token names",
)

GET_ARCHIVE_OF_ORDER: Final = Resource(
    "GET",
    "/user/orders/{orderId}/archive.{format}",
    REGISTERED_USER,
    _ARCHIVES,
    "Go to the archive of an order, which is made if there is none",
)
GET_PUBLIC_ARCHIVE_OF_ORDER: Final = Resource(
    "GET",
    "/orders/public/archive.{format}",
    PUBLIC,
    _ARCHIVES,
    "Go to the archive of the order that an order token names",
)

_STAC: Final = "StacController"
GET_STAC: Final = Resource(
    "GET", "/stac", REGISTERED_USER, _STAC, "Get the landing page of orders in STAC"
)
GET_STAC_CONFORMANCE: Final = Resource(
    "GET",
    "/stac/conformance",
    PUBLIC,
    _STAC,
    "List what the API of STAC conforms to",
    of_tenant=False,
)
LIST_COLLECTIONS: Final = Resource(
    "GET", "/stac/collections", REGISTERED_USER, _STAC, "List the user's own orders as collections"
)
GET_COLLECTION: Final = Resource(
    "GET",
    "/stac/collections/order-{orderId}",
    REGISTERED_USER,
    _STAC,
    "Get an order, with its status, as a collection",
)
LIST_ITEMS: Final = Resource(
    "GET",
    "/stac/collections/order-{orderId}/items",
    REGISTERED_USER,
    _STAC,
    "List the products of an order as items",
)
GET_ITEM: Final = Resource(
    "GET",
    "/stac/collections/order-{orderId}/items/{itemId}",
    REGISTERED_USER,
    _STAC,
    "Get a product of an order as an item",
)
LIST_FOUND_ITEMS: Final = Resource(
    "GET", "/stac/search", REGISTERED_USER, _STAC, "Search the products of the user's own orders"
)
SEARCH_ITEMS: Final = Resource(
    "POST",
    "/stac/search",
    REGISTERED_USER,
    _STAC,
    "Search the products of the user's own orders, with the conditions in the body",
)
GET_EODAG_PROVIDER: Final = Resource(
    "GET", "/stac/eodag.yml", REGISTERED_USER, _STAC, "Get the configuration of eodag"
)
ORDER_ITEMS: Final = Resource(
    "POST", "/stac/orders", REGISTERED_USER, _STAC, "Order products by their ids"
)

EXPLAIN_PROBLEM: Final = Resource(
    "GET",
    "/problems/{code}",
    PUBLIC,
    "ProblemController",
    "Explain the code of a failure",
    of_tenant=False,
)

RESOURCES: Final = tuple(value for value in globals().values() if isinstance(value, Resource))
"""All of them, in the order of rest.md's chapters; then those that the reference doesn't have."""
