"""The caller's own basket over REST (rest.md 6, domain.md 3)."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Body, File, Request, Response, UploadFile

from rs_order.baskets.add import AddToBasket
from rs_order.baskets.edit import EditBasket
from rs_order.baskets.representation import basket_content
from rs_order.contracts.basket_bodies import (
    BasketDto,
    BasketSelectionRequest,
    FileSelectionDescription,
    ProcessDescription,
)
from rs_order.contracts.wire import Entity
from rs_order.domain.ids import DatasetSelectionId
from rs_order.domain.selection import Basket
from rs_order.rest.access import Access
from rs_order.rest.answers import entity, json_answer
from rs_order.rest.parameters import DatasetSelectionIdInPath, SelectionDateInPath
from rs_order.rest.resources import (
    EMPTY_BASKET,
    GET_BASKET,
    REMOVE_DATASET,
    REMOVE_DATED_SELECTION,
    SELECT_PRODUCTS,
    SET_FILE_FILTER,
    SET_PROCESSING,
    UPLOAD_PRODUCT_IDS,
)
from rs_order.rest.routing import BAD_BODY, AuthorisedCaller, Documented, Endpoints


@dataclass(frozen=True, slots=True)
class BasketUseCases:
    """The use cases of the basket."""

    add: AddToBasket
    edit: EditBasket


MAX_UPLOAD: Final = 100 * 2**20
"""The most bytes of an upload, including the headers of its parts (rest.md 6.2)."""
_PIECE: Final = 2**16

_BASKET: Final = Entity[BasketDto]
_NO_BASKET: Final[Documented] = {204: {"description": "The caller has no basket"}}
_NOTHING_FOUND: Final[Documented] = {204: {"description": "Nothing that can be ordered was found"}}
_MALFORMED: Final = {**BAD_BODY, 400: "The id or the body can't be read"}
_UNAVAILABLE: Final = {
    503: (
        "A service or the database doesn't answer, or other changes of the basket were faster at every "
        "attempt; nothing was changed"
    )
}
_UNKNOWN_SELECTION: Final = {
    404: "No such dataset selection in the basket, or no such project here"
}
_TOO_MANY: Final = {409: "More than a process takes, or than 100 selections of one dataset"}
_SEARCH: Final = {
    422: "The catalog rejected the search, or failed",
    500: "rs-processing gave no usable description of an attached process",
}


def baskets_router(access: Access, baskets: BasketUseCases) -> APIRouter:
    """Return the endpoints of baskets. Callers reach only their own basket (domain.md 18)."""
    endpoints = Endpoints(access, tag="baskets")
    _serve_whole(endpoints, baskets)
    _serve_additions(endpoints, baskets)
    _serve_process(endpoints, baskets)
    _serve_file_filter(endpoints, baskets)
    _serve_removals(endpoints, baskets)
    return endpoints.router


def _answer(request: Request, basket: Basket) -> Response:
    """Return the basket in its envelope, which never has links (rest.md 5.1)."""
    return json_answer(request, entity(basket_content(basket)))


def _serve_whole(endpoints: Endpoints, baskets: BasketUseCases) -> None:

    @endpoints.serve(GET_BASKET, model=_BASKET, responses=_UNAVAILABLE, documented=_NO_BASKET)
    async def get_basket(request: Request, caller: AuthorisedCaller) -> Response:
        """Return the basket of the caller."""
        return _answer(request, await baskets.edit.read(caller))

    @endpoints.serve(
        EMPTY_BASKET,
        success=204,
        responses=_UNAVAILABLE,
        documented={204: {"description": "The caller has no basket now"}},
    )
    async def empty_basket(caller: AuthorisedCaller) -> Response:
        """Delete the basket of the caller, if there is one."""
        await baskets.edit.empty(caller)
        return Response(status_code=204)


def _serve_additions(endpoints: Endpoints, baskets: BasketUseCases) -> None:

    @endpoints.serve(
        SELECT_PRODUCTS,
        finds_maintenance=True,
        model=_BASKET,
        responses={**BAD_BODY, **_TOO_MANY, **_SEARCH, **_UNAVAILABLE},
        documented=_NOTHING_FOUND,
    )
    async def select_products(
        request: Request, caller: AuthorisedCaller, selection: BasketSelectionRequest
    ) -> Response:
        """Add a search to the basket, in each dataset in which it finds files."""
        return _answer(request, await baskets.add.selection(caller, selection))

    @endpoints.serve(
        UPLOAD_PRODUCT_IDS,
        model=_BASKET,
        responses={
            400: "The part `file` is missing, or it isn't UTF-8 text",
            415: "The body isn't multipart/form-data",
            413: "The file has more lines or more bytes than allowed; nothing was added",
            **_TOO_MANY,
            **_SEARCH,
            **_UNAVAILABLE,
        },
        documented=_NOTHING_FOUND,
        max_body=MAX_UPLOAD,
    )
    async def upload_product_ids(
        request: Request,
        caller: AuthorisedCaller,
        file: Annotated[UploadFile, File(description="A provider id on each line; UTF-8.")],
    ) -> Response:
        """Add the last versions of the products named in a file to the basket."""
        return _answer(request, await baskets.add.uploaded(caller, _pieces(file)))


def _serve_process(endpoints: Endpoints, baskets: BasketUseCases) -> None:
    @endpoints.serve(
        SET_PROCESSING,
        finds_maintenance=True,
        model=_BASKET,
        responses={
            **_MALFORMED,
            400: f"{_MALFORMED[400]}, or the dataset selection has a file filter",
            409: "More than the process takes",
            500: "rs-processing gave no usable description of the process",
            **_UNKNOWN_SELECTION,
            **_UNAVAILABLE,
        },
        documented=_NO_BASKET,
    )
    async def set_processing(
        request: Request,
        caller: AuthorisedCaller,
        selection_id: DatasetSelectionIdInPath,
        process: Annotated[ProcessDescription | None, Body()] = None,
    ) -> Response:
        """Attach a process to a dataset of the basket; without a body, detach it."""
        choice = process.choice() if process else None
        basket = await baskets.edit.set_process(caller, DatasetSelectionId(selection_id), choice)
        return _answer(request, basket)


def _serve_file_filter(endpoints: Endpoints, baskets: BasketUseCases) -> None:
    @endpoints.serve(
        SET_FILE_FILTER,
        finds_maintenance=True,
        model=_BASKET,
        responses={
            **_MALFORMED,
            400: f"{_MALFORMED[400]}, or the pattern isn't RE2, or a process is attached",
            **_UNKNOWN_SELECTION,
            **_UNAVAILABLE,
        },
        documented=_NO_BASKET,
    )
    async def set_file_filter(
        request: Request,
        caller: AuthorisedCaller,
        selection_id: DatasetSelectionIdInPath,
        wanted: Annotated[FileSelectionDescription | None, Body()] = None,
    ) -> Response:
        """Set the file filter of a dataset of the basket; without a body, remove it."""
        chosen = wanted.file_filter() if wanted else None
        basket = await baskets.edit.set_filter(caller, DatasetSelectionId(selection_id), chosen)
        return _answer(request, basket)


def _serve_removals(endpoints: Endpoints, baskets: BasketUseCases) -> None:

    @endpoints.serve(
        REMOVE_DATASET,
        finds_maintenance=True,
        model=_BASKET,
        responses={400: "The id can't be read", **_UNAVAILABLE},
        documented=_NO_BASKET,
    )
    async def remove_dataset(
        request: Request, caller: AuthorisedCaller, selection_id: DatasetSelectionIdInPath
    ) -> Response:
        """Remove a dataset from the basket, if it is there."""
        basket = await baskets.edit.remove_dataset(caller, DatasetSelectionId(selection_id))
        return _answer(request, basket)

    @endpoints.serve(
        REMOVE_DATED_SELECTION,
        finds_maintenance=True,
        model=_BASKET,
        responses={
            400: "The id or the date can't be read",
            422: "The catalog failed to count the remaining searches; nothing was changed",
            **_UNAVAILABLE,
        },
        documented=_NO_BASKET,
    )
    async def remove_dated_selection(
        request: Request,
        caller: AuthorisedCaller,
        selection_id: DatasetSelectionIdInPath,
        selected_at: SelectionDateInPath,
    ) -> Response:
        """Remove one search from a dataset of the basket. The last search takes the dataset with it."""
        basket = await baskets.edit.remove_search(
            caller, DatasetSelectionId(selection_id), selected_at
        )
        return _answer(request, basket)


async def _pieces(file: UploadFile) -> AsyncIterator[bytes]:
    while piece := await file.read(_PIECE):
        yield piece
