"""The caller's own basket over REST (rest.md 6, domain.md 3)."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Body, File, Request, Response, UploadFile

from rs_order.baskets.add import AddToBasket
from rs_order.baskets.edit import EditBasket
from rs_order.contracts.basket_bodies import BasketDto, BasketSelectionRequest
from rs_order.contracts.envelope import Entity
from rs_order.contracts.selection import FileSelectionDescription, ProcessDescription
from rs_order.domain.basket import Basket
from rs_order.domain.ids import DatasetSelectionId
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
    """All that a user does with his basket."""

    add: AddToBasket
    edit: EditBasket


MAX_UPLOAD: Final = 100 * 2**20
"""Bytes of an upload, its part headers included (rest.md 6.2)."""
_PIECE: Final = 2**16

_BASKET: Final = Entity[BasketDto]
_NO_BASKET: Final[Documented] = {204: {"description": "The caller has no basket"}}
_NOTHING_FOUND: Final[Documented] = {204: {"description": "Nothing that can be ordered was found"}}
_MALFORMED: Final = {**BAD_BODY, 400: "The id isn't one, or the body can't be read"}
_AWAY: Final = {
    503: "A service or the database gave no answer, or the basket never kept still; nothing was changed"
}
_UNKNOWN_SELECTION: Final = {
    404: "No such dataset selection in the basket, or no such project here"
}
_TOO_MANY: Final = {409: "More than a process takes, or than 100 selections of one dataset"}
_SEARCH: Final = {
    422: "The catalog refused the search, or failed",
    500: "rs-processing says of an attached process nothing that can be used",
}


def baskets_router(access: Access, baskets: BasketUseCases) -> APIRouter:
    """All of it; a basket is never anybody else's (domain.md 18)."""
    endpoints = Endpoints(access, tag="baskets")
    _serve_whole(endpoints, baskets)
    _serve_additions(endpoints, baskets)
    _serve_process(endpoints, baskets)
    _serve_file_filter(endpoints, baskets)
    _serve_removals(endpoints, baskets)
    return endpoints.router


def _answer(request: Request, basket: Basket) -> Response:
    """The basket in its wrapper; it never has links (rest.md 5.1)."""
    return json_answer(request, entity(BasketDto.of(basket)))


def _serve_whole(endpoints: Endpoints, baskets: BasketUseCases) -> None:

    @endpoints.serve(GET_BASKET, model=_BASKET, responses=_AWAY, documented=_NO_BASKET)
    async def get_basket(request: Request, caller: AuthorisedCaller) -> Response:
        """What the caller has selected so far."""
        return _answer(request, await baskets.edit.read(caller))

    @endpoints.serve(
        EMPTY_BASKET,
        success=204,
        responses=_AWAY,
        documented={204: {"description": "The caller has no basket now"}},
    )
    async def empty_basket(caller: AuthorisedCaller) -> Response:
        """Take the caller's basket away, if he has one."""
        await baskets.edit.empty(caller)
        return Response(status_code=204)


def _serve_additions(endpoints: Endpoints, baskets: BasketUseCases) -> None:

    @endpoints.serve(
        SELECT_PRODUCTS,
        model=_BASKET,
        responses={**_MALFORMED, **_TOO_MANY, **_SEARCH, **_AWAY},
        documented=_NOTHING_FOUND,
    )
    async def select_products(
        request: Request, caller: AuthorisedCaller, selection: BasketSelectionRequest
    ) -> Response:
        """Add what a search finds to the basket, in each dataset it touches."""
        return _answer(request, await baskets.add.selection(caller, selection))

    @endpoints.serve(
        UPLOAD_PRODUCT_IDS,
        model=_BASKET,
        responses={
            400: "No part `file`, or it isn't UTF-8 text",
            415: "The body isn't multipart/form-data",
            413: "More lines, or more bytes, than allowed; nothing was added",
            **_TOO_MANY,
            **_SEARCH,
            **_AWAY,
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
        model=_BASKET,
        responses={
            **_MALFORMED,
            400: f"{_MALFORMED[400]}, or the dataset selection has a file filter",
            409: "More than the process takes",
            500: "rs-processing says of the process nothing that can be used",
            **_UNKNOWN_SELECTION,
            **_AWAY,
        },
        documented=_NO_BASKET,
    )
    async def set_processing(
        request: Request,
        caller: AuthorisedCaller,
        selection_id: DatasetSelectionIdInPath,
        process: Annotated[ProcessDescription | None, Body()] = None,
    ) -> Response:
        """Attach a process to a dataset of the basket; without a body, take it away."""
        choice = process.choice() if process else None
        basket = await baskets.edit.set_process(caller, DatasetSelectionId(selection_id), choice)
        return _answer(request, basket)


def _serve_file_filter(endpoints: Endpoints, baskets: BasketUseCases) -> None:
    @endpoints.serve(
        SET_FILE_FILTER,
        model=_BASKET,
        responses={
            **_MALFORMED,
            400: f"{_MALFORMED[400]}, or the pattern isn't RE2, or a process is attached",
            **_UNKNOWN_SELECTION,
            **_AWAY,
        },
        documented=_NO_BASKET,
    )
    async def set_file_filter(
        request: Request,
        caller: AuthorisedCaller,
        selection_id: DatasetSelectionIdInPath,
        wanted: Annotated[FileSelectionDescription | None, Body()] = None,
    ) -> Response:
        """Choose which files of a dataset are ordered; without a body, all are."""
        chosen = wanted.file_filter() if wanted else None
        basket = await baskets.edit.set_filter(caller, DatasetSelectionId(selection_id), chosen)
        return _answer(request, basket)


def _serve_removals(endpoints: Endpoints, baskets: BasketUseCases) -> None:

    @endpoints.serve(
        REMOVE_DATASET,
        model=_BASKET,
        responses={400: "The id isn't one", **_AWAY},
        documented=_NO_BASKET,
    )
    async def remove_dataset(
        request: Request, caller: AuthorisedCaller, selection_id: DatasetSelectionIdInPath
    ) -> Response:
        """Take a dataset out of the basket; nothing changes when it isn't there."""
        basket = await baskets.edit.remove_dataset(caller, DatasetSelectionId(selection_id))
        return _answer(request, basket)

    @endpoints.serve(
        REMOVE_DATED_SELECTION,
        model=_BASKET,
        responses={
            400: "The id isn't one, or the date isn't",
            422: "The catalog refused to count what is left; nothing was changed",
            **_AWAY,
        },
        documented=_NO_BASKET,
    )
    async def remove_dated_selection(
        request: Request,
        caller: AuthorisedCaller,
        selection_id: DatasetSelectionIdInPath,
        selected_at: SelectionDateInPath,
    ) -> Response:
        """Take one search out of a dataset of the basket, and the dataset with its last one."""
        basket = await baskets.edit.remove_search(
            caller, DatasetSelectionId(selection_id), selected_at
        )
        return _answer(request, basket)


async def _pieces(file: UploadFile) -> AsyncIterator[bytes]:
    while piece := await file.read(_PIECE):
        yield piece
