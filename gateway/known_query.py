"""Query parameters that a route does not have are refused, with what was probably meant: passed over, they would change
the answer unseen."""

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from gateway.datasets.upload_options import NAMES, canonical
from gateway.errors import Invalid
from gateway.web.operations import unknown

UPLOADS = ("/dataset/store", "/v1/datasets", "/api/Dataset/upload")
"""Routes of POST that read their settings themselves, from the form and the query."""
HARMLESS = ("_",)
"""What clients add so that no cache answers."""


async def refuse_unknown(request: Request) -> None:
    """Raise `Invalid` for query parameters that the route does not know."""
    route = request.scope.get("route")
    if not isinstance(route, APIRoute) or not request.url.query:
        return
    known = _parameters(route.dependant)
    if request.method == "POST" and route.path in UPLOADS:
        known |= {name for name in request.query_params if canonical(name)} | set(NAMES)
    wrong = [name for name in dict.fromkeys(request.query_params.keys()) if name not in known and name not in HARMLESS]
    if wrong:
        raise Invalid(unknown(wrong, known, "query"))


def _parameters(dependant: Dependant) -> set[str]:
    return {field.alias for field in dependant.query_params}.union(*map(_parameters, dependant.dependencies))
