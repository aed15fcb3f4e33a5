"""What an error of Redis means, by its words: it passes by itself, this Redis does not suit us, or the view in it is
damaged. Pure.

Within a script every error arrives as a plain `ResponseError`, so the class alone does not tell. The words are those of
Redis 6 to 8."""

import re
from typing import Literal, NamedTuple

from redis.exceptions import RedisError

Kind = Literal["passing", "unfit", "damaged"]


class Failure(NamedTuple):
    """`why` is for people: what is wrong and, where it is known, what to do."""

    kind: Kind
    why: str


CLUSTER = "Redis runs in cluster mode, which is not supported: name a Redis without it in REDIS_URL"
_SCRIPTS = r"eval|evalsha|script"
_KNOWN: tuple[tuple[Kind, str, str], ...] = (
    (
        "unfit",
        rf"no permissions to run the '({_SCRIPTS})\b|NOPERM.*'({_SCRIPTS})\b|^unknown command ['`]({_SCRIPTS})\b",
        "the user of REDIS_URL may not run scripts: allow EVAL, EVALSHA and SCRIPT",
    ),
    (
        "unfit",
        r"\bMOVED \d|\bASK \d|CROSSSLOT|hash to the same slot|non local key in a cluster|not allowed in cluster mode"
        r"|\bCLUSTERDOWN\b|cluster is down|slot not served|\bTRYAGAIN\b|during rehashing",
        CLUSTER,
    ),
    ("unfit", r"DB index is out of range|invalid DB index", "Redis does not have the database that REDIS_URL names"),
    ("passing", r"\bOOM\b|when used memory >", "Redis is full: raise its maxmemory"),
    (
        "passing",
        r"\bREADONLY\b|read[ -]only (replica|slave)",
        "Redis is a read-only replica (READONLY): point REDIS_URL to the primary, or promote it",
    ),
    (
        "passing",
        r"\bMISCONF\b|not able to persist|can't persist",
        "Redis cannot save to its disk and takes no writes (MISCONF): see its log, its disk",
    ),
    (
        "passing",
        r"\bNOPERM\b|no permissions? to|user executing the script can't|can't access at least one",
        "the user of REDIS_URL lacks a right (NOPERM)",
    ),
    ("passing", r"\bLOADING\b|loading the dataset", "Redis is loading its data (LOADING)"),
    ("passing", r"\bBUSY\b|busy running|\bUNKILLABLE\b", "Redis is busy with a script (BUSY)"),
    (
        "passing",
        r"\bMASTERDOWN\b|Link with MASTER is down",
        "Redis is a replica that has lost its primary (MASTERDOWN)",
    ),
    ("passing", r"\bNOREPLICAS\b|Not enough good replicas", "Redis has too few replicas to take writes (NOREPLICAS)"),
    ("passing", r"\bNOSCRIPT\b|No matching script", "Redis has forgotten our scripts (NOSCRIPT)"),
    ("passing", r"max number of clients", "Redis takes no more connections (maxclients)"),
    (
        "passing",
        (
            r"\bNOAUTH\b|\bWRONGPASS\b|Authentication required|invalid username-password|invalid password|without any"
            r" password configured"
        ),
        "Redis does not accept the user or password of REDIS_URL",
    ),
    ("damaged", r"\bWRONGTYPE\b|wrong kind of value", "a key of the view was written by something else (WRONGTYPE)"),
    (
        "damaged",
        r"user_script|running script|not an integer|not a valid float|not a float",
        "what the view holds cannot be read",
    ),
)
_ANNOTATION = re.compile(r"^Command # \d+ .* of pipeline caused error: ", re.DOTALL)
_CLASSES = {
    "OutOfMemoryError": "OOM",
    "ReadOnlyError": "READONLY",
    "NoPermissionError": "NOPERM",
    "BusyLoadingError": "LOADING",
    "MasterDownError": "MASTERDOWN",
    "ClusterDownError": "CLUSTERDOWN",
    "ClusterCrossSlotError": "CROSSSLOT",
    "TryAgainError": "TRYAGAIN",
    "NoScriptError": "NOSCRIPT",
    "MaxConnectionsError": "no free connection",
}
"""redis-py takes the first word off those errors that it has a class for."""


def failure(error: Exception) -> Failure | None:
    """Say what it means; None for what is no answer of Redis (it is away) and for what is not known."""
    words = _words(error)
    for kind, pattern, why in _KNOWN:
        if re.search(pattern, words, re.IGNORECASE):
            return Failure(kind, why if kind == "unfit" or words in why else f"{why}; it says: {words[:200]}")
    return None


def _words(error: Exception) -> str:
    """What Redis said, without the command that it said it of: names of users are in that."""
    text = _ANNOTATION.sub("", str(error))
    name = type(error).__name__
    if name in ("MovedError", "AskError"):
        return "MOVED 0" if name == "MovedError" else "ASK 0"
    code = _CLASSES.get(name, "") if isinstance(error, RedisError) else ""
    if code and not text.startswith(code):
        return f"{code} {text}"
    return text.removeprefix("ERR ")
