"""Makes the rows of a Java service: orders in every status, and every kind of damage (moving-in.md M4)."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import NAMESPACE_URL, UUID, uuid5

import asyncpg

from rs_order.moving_in.rules import Rule
from tests.integration.moving_in.java_database import SCHEMA

DAY: Final = datetime(2025, 5, 1)  # noqa: DTZ001 - the source stores the wall clock of UTC
LATER: Final = datetime(2999, 1, 1)  # noqa: DTZ001 - the same
DATASET: Final = "URN:AIP:DATASET:demo:00000000-0000-4000-8000-000000000001:V1"
PROCESS: Final = "b3e0c13d-0a36-4761-b8b3-51306578aa95"
JOBS: Final = "fr.cnes.regards.modules.order.service.job."
GONE: Final = 900_000
"""The first id of orders that aren't there."""
_CHOICE: Final = json.dumps({"processBusinessId": PROCESS, "parameters": {"epsg": "4326"}})
_PROCESS_INFO: Final = {
    "scope": "SUBORDER",
    "cardinality": "ONE_PER_EXECUTION",
    "datatypes": "RAWDATA",
    "sizeLimitType": "NO_LIMIT",
    "sizeLimitValue": "0",
    "sizeForecast": "*1.0",
    "forbidSplitInSuborders": "false",
}


@dataclass(frozen=True)
class StoredFile:
    """A file that storage has."""

    name: str
    size: int
    checksum: str
    product: str


@dataclass
class JavaOrders:
    """Rows by table, and the ids that an import has to report by rule."""

    stored: Sequence[StoredFile]
    dataset: str = DATASET
    query: str = "*"
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    expected: dict[Rule, list[int | str]] = field(default_factory=lambda: defaultdict(list))
    _ids: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def next_id(self, table: str) -> int:
        self._ids[table] += 1
        return self._ids[table]

    def expect(self, rule: Rule, *ids: int | str) -> None:
        self.expected[rule] += ids

    def order(self, status: str, *groups: Sequence[str], **columns: Any) -> int:
        """Add an order with a sub-order for each group of file states, and return its id."""
        order = self.next_id("t_order")
        owner = f"user{order % 7}@example.org"
        expires = None if status == "PENDING" else LATER
        self.rows["t_order"].append(
            {
                "id": order,
                "available_count": 0,
                "avail_count_update_date": DAY,
                "creation_date": DAY + timedelta(minutes=order),
                "expiration_date": expires,
                "files_in_error": 0,
                "owner": owner,
                "percent_complete": 0 if status in ("PENDING", "FAILED") else 100,
                "status": status,
                "status_date": DAY + timedelta(hours=order),
                "waiting_for_user": False,
                "url": None,
                "label": f"Label {order}",
                "message": None,
                "correlation_id": f"correlation-{order}",
            }
        )
        self.basket(order)
        if groups:
            task = self.dataset_task(order, files=sum(map(len, groups)))
            for states in groups:
                self.sub_order(order, task, states)
        self.count(order)
        self.change("t_order", order, **columns)
        return order

    def row(self, table: str, id_: int) -> dict[str, Any]:
        return next(row for row in self.rows[table] if row["id"] == id_)

    def change(self, table: str, id_: int, **columns: Any) -> None:
        self.row(table, id_).update(columns)

    def count(self, order: int) -> None:
        """Give an order the counters that its files have."""
        files = self.files(order)
        size = sum(file["size"] or 0 for file in files)
        settled = sum(file["size"] or 0 for file in files if file["state"] != "PENDING")
        states = [file["state"] for file in files]
        waiting = any(
            row["waiting_for_user"] for row in self.rows["t_files_task"] if row["order_id"] == order
        )
        if files:
            self.change(
                "t_order",
                order,
                percent_complete=min(100, 100 * settled // size) if size else 100,
                files_in_error=states.count("ERROR") + states.count("PROCESSING_ERROR"),
                available_count=states.count("AVAILABLE"),
                waiting_for_user=waiting,
            )

    def files(self, order: int) -> list[dict[str, Any]]:
        return [file for file in self.rows["t_data_file"] if file["order_id"] == order]

    def dataset_task(
        self, order: int | None, *, files: int = 0, label: str = "Dataset", **columns: Any
    ) -> int:
        task = self.next_id("t_task")
        self.rows["t_task"].append({"id": task, "parent_id": None})
        self.rows["t_dataset_task"].append(
            {
                "dataset_ip_id": self.dataset,
                "dataset_label": label,
                "files_count": files,
                "files_size": 1000 * files,
                "objects_count": files,
                "selection_requests": json.dumps([_request(self.query)]),
                "id": task,
                "order_id": order,
                "process_dataset_desc": None,
                "file_selection_description": None,
                **columns,
            }
        )
        return task

    def sub_order(
        self, order: int | None, task: int | None, states: Sequence[str], **columns: Any
    ) -> int:
        """Add a sub-order with files, and a storage job that asks for them."""
        sub_order = self.next_id("t_task")
        self.rows["t_task"].append({"id": sub_order, "parent_id": task})
        pending, available = "PENDING" in states, "AVAILABLE" in states
        self.rows["t_files_task"].append(
            {
                "id": sub_order,
                "ended": not pending and not available,
                "order_id": order,
                "owner": "user@example.org",
                "waiting_for_user": available and not pending,
            }
        )
        files = [self.file(order, sub_order, state, **columns) for state in states]
        if files:
            self.job(
                sub_order,
                "StorageFilesJob",
                "QUEUED" if pending else "SUCCEEDED",
                files=json.dumps(files),
                userRole='"PUBLIC"',
                subOrderAvailabilityPeriod="24",
            )
        return sub_order

    def file(
        self, order: int | None, sub_order: int | None, state: str | None, **columns: Any
    ) -> int:
        id_ = self.next_id("t_data_file")
        stored = self.stored[id_ % len(self.stored)]
        self.rows["t_data_file"].append(
            {
                "id": id_,
                "checksum": stored.checksum,
                "checksum_algo": "MD5",
                "data_objects_ip_id": stored.product,
                "mime_type": "application/octet-stream",
                "name": stored.name,
                "online": False,
                "order_id": order,
                "size": stored.size,
                "state": state,
                "url": f"http://storage.example.org/{stored.checksum}",
                "files_task_id": sub_order,
                "download_error_reason": "Too slow" if state == "DOWNLOAD_ERROR" else None,
                "data_type": "RAWDATA",
                "reference": False,
                "product_id": stored.name,
                "version": 1,
                **columns,
            }
        )
        return id_

    def job(self, sub_order: int | None, class_name: str, status: str, **parameters: str) -> UUID:
        job = uuid5(NAMESPACE_URL, str(self.next_id("t_job_info")))
        self.rows["t_job_info"].append(
            {
                "id": job,
                "class_name": JOBS + class_name,
                "owner": "user@example.org",
                "status": status,
                "status_date": DAY,
                "locked": True,
                "last_heartbeat_date": DAY,
            }
        )
        if sub_order is not None:
            self.rows["ta_task_job_info"].append({"job_info_id": job, "task_id": sub_order})
        for name, value in parameters.items():
            self.rows["t_job_parameters"].append(
                {"job_id": job, "class_name": "java.lang.String", "name": name, "value": value}
            )
        return job

    def without_job(self, sub_order: int) -> None:
        """Delete the job of a sub-order, as the service does after a while."""
        self.rows["ta_task_job_info"] = [
            row for row in self.rows["ta_task_job_info"] if row["task_id"] != sub_order
        ]

    def basket(self, order: int | None, owner: str | None = None) -> int:
        """Add a basket with a selection and a search."""
        basket = self.next_id("t_basket")
        self.rows["t_basket"].append({"id": basket, "owner": owner or f"ORDER_{order}"})
        self.selection(basket)
        return basket

    def selection(self, basket: int | None, *, searched: bool = True, **columns: Any) -> int:
        selection = self.next_id("t_basket_dataset")
        totals = {"RAWDATA": 1, "RAWDATA_ref": 0, "RAWDATA_!ref": 1}
        self.rows["t_basket_dataset"].append(
            {
                "id": selection,
                "dataset_ip_id": self.dataset,
                "dataset_label": "Dataset",
                "files_count": 1,
                "files_size": 1000,
                "objects_count": 1,
                "basket_id": basket,
                "file_types_sizes": json.dumps({**totals, "RAWDATA": 1000}),
                "file_types_count": json.dumps(totals),
                "process_dataset_desc": None,
                "file_selection_description": None,
                **columns,
            }
        )
        if searched:
            self.search(selection)
        return selection

    def search(self, selection: int, request: Any = None) -> None:
        at = DAY + timedelta(seconds=len(self.rows["t_basket_ds_item"]))
        self.rows["t_basket_ds_item"].append(
            {
                "basket_dataset_id": selection,
                "date": at,
                "files_count": 0,
                "files_size": 0,
                "objects_count": 1,
                "selection_request": json.dumps(
                    _request(self.query) if request is None else request
                ),
                "file_types_sizes": "{}",
                "file_types_count": "{}",
            }
        )

    async def load(self, connection: asyncpg.Connection) -> None:
        """Write all rows into the database, whatever its constraints say about some of them."""
        await connection.execute("alter table t_order drop constraint uk_t_order_label_owner")
        await connection.execute("set session_replication_role = replica")
        for table, rows in self.rows.items():
            columns = list(rows[0])
            await connection.copy_records_to_table(
                table,
                columns=columns,
                records=[[row[name] for name in columns] for row in rows],
                schema_name=SCHEMA,
            )
        await connection.execute("set session_replication_role = origin")


def _request(query: str) -> dict[str, Any]:
    return {
        "engineType": "legacy",
        "selectionDate": "2026-06-01T00:00:00Z",
        "searchParameters": {"q": [query]},
    }


def healthy_orders(java: JavaOrders, orders: int) -> list[int]:
    """Add orders of every status with files in every state, and return their ids."""
    kinds: list[tuple[str, list[list[str]]]] = [
        ("DONE", [["AVAILABLE", "AVAILABLE"], ["DOWNLOADED"]]),
        ("DONE", [["DOWNLOADED", "DOWNLOADED", "DOWNLOADED"]]),
        ("DONE_WITH_WARNING", [["AVAILABLE", "ERROR"], ["DOWNLOAD_ERROR"]]),
        ("FAILED", [["ERROR", "ERROR"]]),
        ("FAILED", []),
        ("RUNNING", [["PENDING", "PENDING"], ["AVAILABLE"], ["DOWNLOADED"]]),
        ("RUNNING", [["PENDING"], ["PENDING", "AVAILABLE"]]),
        ("PAUSED", [["PENDING", "PENDING"]]),
        ("ERROR", [["PENDING"]]),
        ("EXPIRED", []),
        ("DELETED", []),
        ("DONE_WITH_WARNING", []),
    ]
    return [
        java.order(status, *groups)
        for number in range(orders)
        for status, groups in [kinds[number % len(kinds)]]
    ]


def damage_everything(java: JavaOrders) -> None:
    """Add every kind of damage at least once, with the ids that the report must name."""
    _damage_orders(java)
    _damage_sub_orders(java)
    _damage_files(java)
    _damage_processes(java)
    _damage_baskets(java)
    _damage_the_rest(java)


def _damage_orders(java: JavaOrders) -> None:
    java.expect(Rule.CREATION_BEGINS_AGAIN, java.order("PENDING"), java.order("PENDING"))
    lost = java.order("PENDING")
    java.rows["t_basket"] = [
        row for row in java.rows["t_basket"] if row["owner"] != f"ORDER_{lost}"
    ]
    java.expect(Rule.SELECTION_WITHOUT_BASKET, java.rows["t_basket_dataset"][-1]["id"])
    refused = java.order("PENDING")
    java.rows["t_basket_dataset"][-1]["file_selection_description"] = json.dumps(
        {"fileTypes": ["RAWDATA"], "fileNamePattern": "(?!x).*"}
    )
    java.expect(Rule.FILTER_NOT_RE2, java.rows["t_basket_dataset"][-1]["id"])
    java.expect(Rule.CREATION_LOST, lost, refused)
    first = java.order("DONE", ["DOWNLOADED"], label="The same", owner="same@example.org")
    second = java.order("DONE", ["DOWNLOADED"], label="The same", owner="same@example.org")
    java.order("DONE", ["DOWNLOADED"], label="The same (2)", owner="same@example.org")
    assert first < second
    java.expect(Rule.LABEL_TAKEN_TWICE, second)
    java.expect(Rule.STATUS_UNKNOWN, java.order("ODD", ["DOWNLOADED"]))
    java.expect(Rule.ENDED_TOO_EARLY, java.order("DONE", ["PENDING"], ["AVAILABLE"]))
    java.expect(
        Rule.ORDER_STANDS_STILL, java.order("RUNNING", ["AVAILABLE"]), java.order("RUNNING")
    )
    done = ["DOWNLOADED"], ["AVAILABLE"]
    java.expect(Rule.WRONG_PERCENT, java.order("DONE", *done, percent_complete=7))
    java.expect(Rule.WRONG_ERROR_COUNT, java.order("DONE", *done, files_in_error=3))
    java.expect(Rule.WRONG_AVAILABLE_COUNT, java.order("DONE", *done, available_count=2))
    java.expect(Rule.WRONG_WAITING_FLAG, java.order("DONE", *done, waiting_for_user=False))


def _damage_sub_orders(java: JavaOrders) -> None:
    still = java.order("RUNNING", ["PENDING"])
    sub_order = java.rows["t_files_task"][-1]["id"]
    java.without_job(sub_order)
    java.expect(Rule.SUB_ORDER_STANDS_STILL, sub_order)
    assert still
    java.order("DONE", ["DOWNLOADED"])
    java.rows["t_files_task"][-1]["waiting_for_user"] = True
    java.count(java.rows["t_order"][-1]["id"])
    java.change("t_order", java.rows["t_order"][-1]["id"], waiting_for_user=False)
    java.expect(Rule.WRONG_SUB_ORDER_FLAGS, java.rows["t_files_task"][-1]["id"])
    java.order("DONE", ["DOWNLOADED"])
    java.rows["t_dataset_task"][-1]["files_count"] = 9
    java.expect(Rule.WRONG_TASK_TOTALS, java.rows["t_dataset_task"][-1]["id"])
    retried = java.order("DONE", ["DOWNLOADED"])
    emptied = java.sub_order(retried, java.rows["t_dataset_task"][-1]["id"], [])
    java.expect(Rule.EMPTY_SUB_ORDER, emptied)
    deleted = java.order("DELETED")
    task = java.dataset_task(deleted)
    java.expect(Rule.SUB_ORDER_OF_ENDED_ORDER, java.sub_order(deleted, task, ["DOWNLOADED"]))
    java.expect(Rule.FILE_OF_ENDED_ORDER, java.rows["t_data_file"][-1]["id"])
    for gone in (GONE, None):
        java.expect(Rule.SUB_ORDER_WITHOUT_ORDER, java.sub_order(gone, None, ["DOWNLOADED"]))
        java.expect(Rule.FILE_WITHOUT_ORDER, java.rows["t_data_file"][-1]["id"])
    mended = java.order("DONE", ["DOWNLOADED"])
    java.change("t_task", java.rows["t_files_task"][-1]["id"], parent_id=None)
    java.expect(Rule.SUB_ORDER_WITHOUT_DATASET, java.rows["t_files_task"][-1]["id"])
    assert mended
    orphaned = java.order("FAILED")
    java.expect(Rule.SUB_ORDER_WITHOUT_DATASET, java.sub_order(orphaned, None, ["DOWNLOADED"]))
    java.expect(Rule.FILE_LOST, java.rows["t_data_file"][-1]["id"])
    java.expect(Rule.DATASET_TASK_WITHOUT_ORDER, java.dataset_task(None))
    twice = java.order("DONE", ["DOWNLOADED"])
    second = java.dataset_task(twice, files=1, label="Another label")
    java.sub_order(twice, second, ["DOWNLOADED"])
    java.rows["t_dataset_task"][-2]["files_count"] = 2
    java.rows["t_dataset_task"][-2]["files_size"] = 2000
    java.expect(Rule.DATASET_TASK_TWICE, second)


def _damage_files(java: JavaOrders) -> None:
    java.order("RUNNING", ["PENDING", "PENDING"])
    java.rows["t_data_file"][-1]["files_task_id"] = None
    java.expect(Rule.FILE_WITHOUT_SUB_ORDER, java.rows["t_data_file"][-1]["id"])
    of_product = java.order("DONE", ["DOWNLOADED", "DOWNLOADED"])
    java.without_job(java.rows["t_files_task"][-1]["id"])
    lost, kept = java.files(of_product)
    lost["files_task_id"], lost["data_objects_ip_id"] = None, kept["data_objects_ip_id"]
    java.expect(Rule.FILE_WITHOUT_SUB_ORDER, lost["id"])
    java.expect(
        Rule.FILE_LOST,
        java.file(java.order("DONE", ["DOWNLOADED"]), None, "DOWNLOADED", data_objects_ip_id="?"),
    )
    begun = java.order("PENDING")
    java.expect(Rule.CREATION_BEGINS_AGAIN, begun)
    java.expect(Rule.FILE_OF_BROKEN_CREATION, java.file(begun, None, "PENDING"))
    java.order("FAILED", ["PENDING", "ERROR"])
    java.expect(Rule.FILE_PENDING_IN_FAILED_ORDER, java.rows["t_data_file"][-2]["id"])
    failed = java.rows["t_order"][-1]["id"]
    java.change("t_order", failed, percent_complete=100, files_in_error=2)
    java.change("t_files_task", java.rows["t_files_task"][-1]["id"], ended=True)
    external = java.order("RUNNING", ["PENDING"], ["PENDING"])
    java.rows["t_data_file"][-1].update(reference=True, checksum=None)
    java.expect(Rule.EXTERNAL_FILE_PENDING, java.rows["t_data_file"][-1]["id"])
    java.without_job(java.rows["t_files_task"][-1]["id"])
    java.change("t_files_task", java.rows["t_files_task"][-1]["id"], ended=True)
    java.change("t_order", external, percent_complete=50, available_count=1, waiting_for_user=True)
    unknown = java.order("RUNNING", ["PENDING"], ["PENDING"])
    java.rows["t_data_file"][-1]["checksum"] = None
    java.expect(Rule.FILE_WITHOUT_CHECKSUM, java.rows["t_data_file"][-1]["id"])
    java.change("t_files_task", java.rows["t_files_task"][-1]["id"], ended=True)
    java.change("t_order", unknown, percent_complete=50, files_in_error=1)
    for columns in ({"name": None}, {"size": -1}, {"state": None}):
        order = java.order("DONE", ["DOWNLOADED"])
        file = java.rows["t_data_file"][-1]
        file.update(columns)
        java.expect(Rule.FILE_INCOMPLETE, file["id"])
        if "size" in columns:
            java.rows["t_dataset_task"][-1]["files_size"] = 0
        if "state" in columns:
            java.change("t_order", order, files_in_error=1)
    java.order("DONE", ["DOWNLOADED", "DOWNLOADED"])
    first, second = java.rows["t_data_file"][-2:]
    second.update(
        {name: first[name] for name in ("name", "checksum", "data_objects_ip_id", "size")}
    )
    java.expect(Rule.FILE_TWICE, second["id"])


def process_under_way(java: JavaOrders) -> tuple[int, int, int]:
    """Add an order whose process is under way: its storage job runs, and its process job waits for that.

    Return the order, its sub-order and the file that goes into the process.
    """
    order = java.order("RUNNING")
    task = java.dataset_task(order, files=1, process_dataset_desc=_CHOICE)
    sub_order = _output(java, order, task)
    fed = java.file(order, None, "PENDING")
    value = java.rows["t_data_file"][-1]
    described = {
        "ipId": value["data_objects_ip_id"],
        "productId": value["product_id"],
        "version": 1,
        "dataType": "RAWDATA",
        "reference": False,
        "uri": value["url"],
        "mimeType": value["mime_type"],
        "checksum": value["checksum"],
        "digestAlgorithm": "MD5",
        "filesize": value["size"],
        "filename": value["name"],
    }
    feature = {"label": value["product_id"], "ipId": value["data_objects_ip_id"]}
    process = java.job(
        None,
        "ProcessExecutionJob",
        "PENDING",
        processDesc=json.dumps({"processId": PROCESS, "processInfo": _PROCESS_INFO}),
        batchCorrelationId=json.dumps(f"order-{order}_dsSel-1_subOrder-1"),
        orderDataFileInputsPerFeature=json.dumps({"filesPerFeature": [[feature, [described]]]}),
    )
    java.job(
        sub_order,
        "StorageFilesJob",
        "RUNNING",
        files=json.dumps([fed]),
        processJobInfo=json.dumps(str(process)),
    )
    java.change("t_order", order, percent_complete=0)
    return order, sub_order, fed


def _damage_processes(java: JavaOrders) -> None:
    _, sub_order, fed = process_under_way(java)
    java.expect(Rule.PROCESS_BEGINS_AGAIN, sub_order)
    java.expect(Rule.INPUT_OF_PROCESS, fed)
    lost = java.order("RUNNING")
    task = java.dataset_task(lost, files=1, process_dataset_desc=_CHOICE)
    sub_order = _output(java, lost, task)
    java.expect(Rule.PROCESS_LOST, java.rows["t_data_file"][-1]["id"])
    java.expect(Rule.ORDER_STANDS_STILL, lost)
    java.change("t_files_task", sub_order, ended=True)
    java.change("t_order", lost, files_in_error=1)


def _output(java: JavaOrders, order: int, task: int) -> int:
    """Add a sub-order with the output that a process has promised."""
    sub_order = java.sub_order(order, task, [])
    java.change("t_files_task", sub_order, ended=False)
    batch = f"order-{order}_dsSel-1_subOrder-1"
    java.file(
        order,
        sub_order,
        "PENDING",
        reference=True,
        data_type="OTHER",
        url=f"file:/{batch}",
        name=batch,
        checksum=str(uuid5(NAMESPACE_URL, batch)),
        data_objects_ip_id=java.dataset,
    )
    return sub_order


def _damage_baskets(java: JavaOrders) -> None:
    java.expect(
        Rule.BASKET_WITHOUT_ORDER,
        java.basket(None, f"ORDER_{GONE}"),
        java.basket(None, "RESTART_ORDER_3"),
    )
    java.expect(Rule.SELECTION_WITHOUT_BASKET, java.selection(None))
    basket = java.basket(None, "jane@example.org")
    java.expect(
        Rule.SELECTION_WITHOUT_SEARCH,
        java.selection(basket, searched=False, dataset_ip_id="URN:AIP:DATASET:demo:2:V1"),
    )
    java.expect(Rule.SELECTION_TWICE, java.selection(basket, dataset_label="Another label"))
    java.search(java.rows["t_basket_dataset"][-3]["id"], {"searchParameters": "?"})
    java.expect(Rule.SEARCH_UNREADABLE, java.rows["t_basket_dataset"][-3]["id"])
    java.expect(
        Rule.PROCESS_AND_FILTER,
        java.selection(
            basket,
            dataset_ip_id="URN:AIP:DATASET:demo:3:V1",
            process_dataset_desc=json.dumps({"processBusinessId": PROCESS, "parameters": {}}),
            file_selection_description=json.dumps({"fileTypes": ["QUICKLOOK"]}),
        ),
    )


def _damage_the_rest(java: JavaOrders) -> None:
    request = {"queries": ["productId:a"], "correlationId": "was-lost", "user": "x@example.org"}
    java.job(None, "CreateOrderJob", "FAILED", ORDER_REQUEST_EVENT=json.dumps([request]))
    java.expect(Rule.REQUEST_LOST, "was-lost")
    for number, (name, value) in enumerate(
        (
            ("app_sub_order_duration", "5"),
            ("expiration_max_duration_in_hours", "-1"),
            ("nobody_knows", "1"),
        ),
        start=1,
    ):
        java.rows["t_dynamic_tenant_setting"].append(
            {"id": number, "name": name, "value": value, "contains_sensitive_params": False}
        )
    java.expect(Rule.SETTING_INVALID, "expiration_max_duration_in_hours")
    java.expect(Rule.SETTING_UNKNOWN, "nobody_knows")
    java.rows["t_template"] += [
        {
            "id": 1,
            "code": "ORDER_CREATED_TEMPLATE",
            "content": "Order ${order_label} of ${project}",
        },
        {
            "id": 2,
            "code": "ASIDE_ORDERS_NOTIFICATION_TEMPLATE",
            "content": "<#macro x>${orders?size}</#macro>",
        },
    ]
    java.expect(Rule.TEMPLATE_NOT_CONVERTED, "ASIDE_ORDERS_NOTIFICATION_TEMPLATE")
