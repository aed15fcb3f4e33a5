"""The names of everything the view keeps in Redis, in one place.

All names start with `PREFIX`, so that one Redis can hold something else beside the view and the view can be dropped as
a whole."""

PREFIX = "ii:"

POSITIONS = PREFIX + "positions"
"""Hash `topic:partition` → offset of the next record to project; and all else that says whether the view is whole
(`redis_script`)."""
READY = PREFIX + "ready"
"""Exists while every partition has a position and none is being rebuilt. No read is answered without it."""
BEAT = PREFIX + "beat"
"""Written now and then to find out whether Redis takes writes."""
CHANGES = PREFIX + "changes"
"""Pub/sub channel: after each write the ids of the tasks and runs it touched, separated by blanks."""
WHOLE_RUNS = PREFIX + "whole-runs"
"""Sorted set of `run_id:attempt` whose predictions are kept here, by the time of the last one."""
FOREIGN_RUNS = PREFIX + "foreign-runs"
"""Hash run id → member of the index of runs: runs of other systems, each listed once."""
DEAD_LETTERS = PREFIX + "dead-letters"
"""Sorted set of the newest dead letters: members `occurred_at in microseconds, 17 digits` + id, all of score 0."""
LETTER_FACTS = DEAD_LETTERS + ":facts"
"""Hash id → what letters are filtered by (`storage.view.dead_letters.Facts`)."""
LETTER_VALUES = DEAD_LETTERS + ":values"
"""Hash id → the letter, of a large value the beginning, and where its record stands."""
LETTER_MARKS = DEAD_LETTERS + ":marks"
"""Hash id → order, blank, `DeadLetterMark`."""
LETTERS_OLDER = DEAD_LETTERS + ":older"
"""Exists when there are letters that are on the topic only."""


def record(kind: str, name: str) -> str:
    """Hash of one keyed record: `offset`, `value` (empty: deleted), `indexes`."""
    return f"{PREFIX}{kind}:{name}"


def index(kind: str, *scope: str) -> str:
    """Sorted set of members `created_at in microseconds, 17 digits` + id, all of score 0: in order of time and of
    id."""
    return ":".join((f"{PREFIX}by-time", kind, *scope))


def stats(run_id: str) -> str:
    """Hash `attempt:lane` → offset, blank, `LaneStats`."""
    return f"{PREFIX}stats:{run_id}"


def predictions(run_id: str, attempt: int) -> str:
    """Sorted set of the newest predictions as they are in Kafka, by row index."""
    return f"{PREFIX}predictions:{run_id}:{attempt}"


def redriven(run_id: str, attempt: int) -> str:
    """Sorted set of the predictions of redriven rows, which stand late in Kafka, by row index."""
    return f"{PREFIX}redriven:{run_id}:{attempt}"


def reach(run_id: str, attempt: int) -> str:
    """Hash of what of a run's predictions has been projected: `lane:low`, `lane:high` (row indices); `floor`: nothing
    below it is kept."""
    return f"{PREFIX}reach:{run_id}:{attempt}"


def offsets(run_id: str, attempt: int) -> str:
    """Hash `lane:bucket` → row index, partition, offset of the lane's first prediction in the bucket: where to look in
    Kafka."""
    return f"{PREFIX}offsets:{run_id}:{attempt}"


def logs(task_id: str) -> str:
    """Sorted set of a task's newest log records by offset."""
    return f"{PREFIX}logs:{task_id}"
