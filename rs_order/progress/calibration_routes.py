"""The endpoint that shows operators how expected times came true (faces.md Y-12)."""

from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from rs_order.contracts.calibration_bodies import CalibrationDto
from rs_order.domain.calibration import calibrate
from rs_order.ports import Clock
from rs_order.rest.access import Access
from rs_order.rest.answers import json_answer
from rs_order.rest.resources import GET_CALIBRATION
from rs_order.rest.routing import AuthorisedCaller, Endpoints
from rs_order.store.estimates import Estimates


@dataclass(frozen=True, slots=True)
class CalibrationServices:
    """Reads the samples of sub-orders that storage has settled."""

    estimates: Estimates
    clock: Clock


def calibration_router(access: Access, services: CalibrationServices) -> APIRouter:
    endpoints = Endpoints(access, tag="progress", problems=True)

    @endpoints.serve(GET_CALIBRATION, model=CalibrationDto)
    async def get_calibration(request: Request, caller: AuthorisedCaller) -> Response:
        """How expected times of the caller's project came true: the last 2000 sub-orders from tape."""
        samples = await services.estimates.samples(caller.tenant)
        now = services.clock.now()
        found = calibrate(samples, now)
        return json_answer(request, CalibrationDto.of(caller.tenant, found, now).to_wire())

    return endpoints.router
