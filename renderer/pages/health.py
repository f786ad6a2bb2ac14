"""For operators: the process answers, the database answers, what was counted. Public by their nature; the counters only to this machine."""

from __future__ import annotations

import sqlalchemy as sa
from starlette.responses import PlainTextResponse, Response

from engine.errors import NotFound, Refusal
from engine.messages import told
from renderer.metrics import COUNTS
from renderer.requests import Routes, Visit, is_loopback
from renderer.security import PUBLIC

routes = Routes()


@routes.get("/healthz", PUBLIC)
def healthz(visit: Visit) -> Response:
    """The process answers."""
    return PlainTextResponse("ok\n")


@routes.get("/readyz", PUBLIC)
def readyz(visit: Visit) -> Response:
    """The home database answers; 503 with the reason when it does not."""
    try:
        with visit.home.database.read() as connection:
            connection.execute(sa.select(sa.literal(1)))
    except Refusal as refusal:
        return PlainTextResponse(told(refusal, "en") + "\n", 503)
    return PlainTextResponse("ready\n")


@routes.get("/metrics", PUBLIC)
def metrics(visit: Visit) -> Response:
    """Counters in Prometheus' text format, to loopback addresses only."""
    if not is_loopback(visit.site, visit.request):
        raise NotFound("no_such_page")
    return PlainTextResponse(COUNTS.text(), media_type="text/plain; version=0.0.4")
