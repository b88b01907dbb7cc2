"""The endpoint that explains the codes of failures (faces.md C-4)."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from rs_order.rest.access import Access
from rs_order.rest.answers import json_answer
from rs_order.rest.errors import HttpError
from rs_order.rest.problems import ProblemCode, ProblemExplanation, explained
from rs_order.rest.resources import EXPLAIN_PROBLEM
from rs_order.rest.routing import Endpoints

CodeInPath = Annotated[str, Path(alias="code", examples=["too-many-requests"])]


def problems_router(access: Access) -> APIRouter:
    endpoints = Endpoints(access, tag="problems", problems=True)

    @endpoints.serve(
        EXPLAIN_PROBLEM, model=ProblemExplanation, responses={404: "No failure has this code"}
    )
    async def explain_problem(request: Request, code: CodeInPath) -> Response:
        """A sentence about the code of a failure, and an advice."""
        if code not in set(ProblemCode):
            raise HttpError(404, f"No failure has the code {code}.")
        return json_answer(request, explained(ProblemCode(code)).to_wire())

    return endpoints.router
