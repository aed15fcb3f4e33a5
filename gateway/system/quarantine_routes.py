"""Records that their readers pass over: `/v1/quarantine`."""

from typing import Annotated

from fastapi import APIRouter, Query

from gateway.dependencies import ThePoison
from gateway.errors import documented
from gateway.system import quarantine
from schemas.http.quarantine import QuarantineList, QuarantineView

router = APIRouter(prefix="/v1/quarantine", tags=["quarantine"])


@router.get("", responses=documented("invalid", "unavailable"))
async def list_quarantine(
    poison: ThePoison,
    topic: Annotated[str | None, Query(max_length=249)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> QuarantineList:
    """Records that cannot be what they claim, or that ended their reader again and again; the newest of 30 days."""
    return quarantine.listed(await poison.all(), topic, limit)


@router.get("/{place}", responses=documented("not_found", "invalid", "unavailable"))
async def get_quarantined(place: str, poison: ThePoison) -> QuarantineView:
    """One of them, by its place (topic:partition:offset): its bytes, and why it is there."""
    return quarantine.answer(await poison.find(place))


@router.post("/{place}/skip", responses=documented("not_found", "conflict", "invalid", "unavailable"))
async def skip_record(place: str, poison: ThePoison) -> QuarantineView:
    """Have an order passed over that ends its process again and again, when that process starts the next time.

    Only of `run-commands.v1` and `training-commands.v1`; an order that is carried out meanwhile stays carried out.
    """
    return quarantine.answer(await poison.skip(place))
