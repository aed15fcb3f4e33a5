"""What `/ready` says of a storage."""

import asyncio
from pathlib import Path

from storage.objects.files import Storage
from storage.objects.presence import INTERVAL_SECONDS, SILENCE_SECONDS, Presence
from tests.support.storage_away import bring_back, take_away
from tests.support.waiting import eventually


async def test_a_storage_that_goes_and_comes_back_is_said_and_one_that_never_was_there_only_to_who_needs_it(
    tmp_path: Path,
) -> None:
    storage = Storage(f"file://{tmp_path}/root")
    presence = Presence(storage)
    looking = asyncio.create_task(presence.run())
    await eventually(presence.problems)
    assert presence.lost() == {}
    storage.initialise()
    await eventually(lambda: not presence.problems())
    take_away(storage.url)
    await eventually(presence.lost)
    assert "storage.json is missing" in presence.problems()["storage"]
    bring_back(storage.url)
    await eventually(lambda: not presence.problems())
    looking.cancel()


async def test_a_storage_that_hangs_is_said(tmp_path: Path) -> None:
    now = [0.0]
    presence = Presence(Storage(f"file://{tmp_path}").initialise(), lambda: now[0])
    assert presence.problems() == {}
    now[0] = INTERVAL_SECONDS + SILENCE_SECONDS + 1
    assert "no answer for 7 s" in presence.problems()["storage"]
