"""The home page of a workspace: my lists with counts and first rows, what is due, shortcuts. Reads through the same lists as everywhere."""

from starlette.responses import Response

from renderer.requests import Routes, Visit

routes = Routes()


@routes.get("/w/{ws}/")
def home(visit: Visit) -> Response:
    """Cards of the person's menus."""
    return visit.page("home.html", cards=(), greeting="")
