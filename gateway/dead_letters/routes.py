"""Dead letters: `/v1/dead-letters`."""

from typing import Annotated

from fastapi import APIRouter, Query

from gateway.dead_letters import letters as dead_letters
from gateway.dependencies import TheLetters, TheRedriver
from gateway.errors import documented
from schemas.http.dead_letters import (
    DeadLetterPage,
    DeadLetterView,
    LettersSent,
    LetterState,
    PurgeMatching,
    RedriveMatching,
    RedriveOne,
)
from schemas.messages import Reason
from storage.view.dead_letters import Wanted

router = APIRouter(prefix="/v1/dead-letters", tags=["dead letters"])
MANY_FAILURES = documented("invalid", "unavailable")


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


@router.get("/{dead_letter_id}", responses=documented("not_found", "expired", "invalid", "unavailable"))
async def get_dead_letter(dead_letter_id: str, letters: TheLetters) -> DeadLetterView:
    """A dead letter, whole: its bytes, where it came from, what is wrong, and what became of it."""
    return dead_letters.answer(await letters.whole(await letters.find(dead_letter_id)))


@router.post("/redrive", responses=MANY_FAILURES)
async def redrive_matching(body: RedriveMatching, redriver: TheRedriver) -> LettersSent:
    """Send all open letters that match as they were. What came of each is on the letter; doing it again harms
    nothing."""
    return await redriver.redrive_all(Wanted(body.run_id, body.reason, body.topic))


@router.post("/purge", responses=MANY_FAILURES)
async def purge_matching(body: PurgeMatching, redriver: TheRedriver) -> LettersSent:
    """Take letters off the list for good: their rows cannot be redriven any more; the counts of their runs stay."""
    return await redriver.purge(Wanted(body.run_id, body.reason, body.topic), body.ids)


@router.post(
    "/{dead_letter_id}/redrive", responses=documented("not_found", "expired", "invalid", "conflict", "unavailable")
)
async def redrive_one(
    dead_letter_id: str, redriver: TheRedriver, letters: TheLetters, body: RedriveOne | None = None
) -> DeadLetterView:
    """Send a letter's row again, edited or as it was; it takes its place in the run and counts once. Waits for it a
    little."""
    found = await redriver.redrive(dead_letter_id, dead_letters.edited(body.value) if body else None)
    return dead_letters.answer(await letters.whole(found))
