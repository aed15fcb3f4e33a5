"""Repair dead letters and send their rows again, with the Python client.

    python examples/redrive.py --run ext-line-7

Two kinds of letters can be repaired by a rule: a field that the model does not know is taken out, one that it misses is
sent as null (a missing value). Others are left as they are. A row counts once however often it is sent, so this may run
twice, or be killed. Prints one line for each letter: what was wrong, and what came of it.
"""

import argparse
import json
import sys
import time
from typing import Any

from client import Client
from client.errors import ClientError
from schemas.http.dead_letters import DeadLetterView

FEATURES = "$.features."
WAIT_SECONDS = 30.0


def repaired(letter: DeadLetterView) -> dict[str, Any] | None:
    """The letter's row without what was wrong; null when no rule knows how. `path` says which field it was."""
    if letter.value_text is None or letter.path is None or not letter.path.startswith(FEATURES):
        return None
    row: dict[str, Any] = json.loads(letter.value_text)
    name = letter.path.removeprefix(FEATURES)
    if letter.reason == "unknown_feature":
        row["features"].pop(name)
        return row
    if letter.reason == "missing_feature":
        row["features"][name] = None
        return row
    return None


def outcome(gateway: Client, letter_id: str) -> str:
    """What came of a redrive, in words. Bounded: the row waits its turn behind others of its partition."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        found = gateway.dead_letter(letter_id).outcome
        if found is not None:
            return f"{found.outcome}: {found.prediction_id or found.dead_letter_id or found.message}"
        time.sleep(0.2)
    return "no outcome yet: the row waits"


def redrive(gateway: Client, run_id: str | None) -> None:
    """Repair until nothing is open that a rule knows: a row may have more than one fault, and is a new letter after the
    first."""
    seen: set[str] = set()
    while fresh := [
        one
        for one in gateway.dead_letters(run_id=run_id, state="open", limit=500).items
        if one.dead_letter_id not in seen
    ]:
        for summary in fresh:
            seen.add(summary.dead_letter_id)
            letter = gateway.dead_letter(summary.dead_letter_id)
            row = repaired(letter)
            if row is None:
                print(f"{letter.dead_letter_id}  {letter.reason}  left alone: {letter.message}")
                continue
            gateway.redrive(letter.dead_letter_id, row)
            print(f"{letter.dead_letter_id}  {letter.reason} {letter.path}  {outcome(gateway, letter.dead_letter_id)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", help="only letters of this run; all by default")
    parser.add_argument("--url", help="the gateway; by default INTELLIINSPECT_URL, or the stack of this folder")
    arguments = parser.parse_args()
    try:
        with Client(arguments.url) as gateway:
            redrive(gateway, arguments.run)
    except ClientError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
