"""Dead letters: `/v1/dead-letters`."""

from typing import Annotated

from fastapi import APIRouter, Query

from gateway import dead_letters
from gateway.dependencies import TheLetters
from gateway.errors import documented
from schemas.api_dead_letters import DeadLetterPage, DeadLetterView, LetterState
from schemas.messages import Reason
from storage.dead_letters import Wanted

router = APIRouter(prefix="/v1/dead-letters", tags=["dead letters"])


@router.get("", responses=documented("invalid", "unavailable"))
async def list_dead_letters(
    letters: TheLetters,
    run_id: Annotated[str | None, Query(max_length=200)] = None,
    reason: Reason | None = None,
    topic: Annotated[str | None, Query(max_length=249)] = None,
    state: Annotated[LetterState | None, Query(description="default: all that are not purged")] = None,
    cursor: Annotated[str | None, Query(max_length=200, description="`next_cursor` of the former page")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> DeadLetterPage:
    """Records that could not be scored, newest first, and how many there are by reason."""
    return dead_letters.page(await letters.view.select(Wanted(run_id, reason, topic, state), cursor, limit))


@router.get("/{dead_letter_id}", responses=documented("not_found", "invalid", "unavailable"))
async def get_dead_letter(dead_letter_id: str, letters: TheLetters) -> DeadLetterView:
    """A dead letter, whole: its bytes, where it came from, what is wrong, and what became of it."""
    return dead_letters.answer(await letters.whole(await letters.find(dead_letter_id)))
