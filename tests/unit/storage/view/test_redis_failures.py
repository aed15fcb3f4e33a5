"""What Redis says, in the words of its versions, and what it means to us."""

import pytest
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    MovedError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError

from storage.view.redis_failures import failure

LUA_6 = "Error running script (call to f_0a1b): @user_script:9: @user_script: 9: "
LUA_7 = " script: 0a1b, on @user_script:9."


@pytest.mark.parametrize(
    ("error", "kind", "word"),
    [
        (OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), "passing", "full"),
        (ResponseError(LUA_6 + "-OOM command not allowed when used memory > 'maxmemory'."), "passing", "full"),
        (ResponseError("OOM command not allowed when used memory > 'maxmemory'." + LUA_7), "passing", "full"),
        (ReadOnlyError("You can't write against a read only replica."), "passing", "READONLY"),
        (ResponseError(LUA_6 + "-READONLY You can't write against a read only replica."), "passing", "READONLY"),
        (ResponseError("-READONLY You can't write against a read only slave."), "passing", "READONLY"),
        (ResponseError(LUA_6 + "-MISCONF Redis is configured to save RDB snapshots, but …"), "passing", "MISCONF"),
        (ResponseError("MISCONF Errors writing to the AOF file: No space left on device"), "passing", "MISCONF"),
        (
            ResponseError(LUA_6 + "The user executing the script can't run this command or subcommand"),
            "passing",
            "NOPERM",
        ),
        (
            ResponseError("NOPERM this user has no permissions to access one of the keys used as arguments"),
            "passing",
            "NOPERM",
        ),
        (BusyLoadingError("Redis is loading the dataset in memory"), "passing", "LOADING"),
        (
            ResponseError("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."),
            "passing",
            "BUSY",
        ),
        (
            ResponseError("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."),
            "passing",
            "MASTERDOWN",
        ),
        (ResponseError("NOREPLICAS Not enough good replicas to write."), "passing", "NOREPLICAS"),
        (ClusterDownError("The cluster is down"), "unfit", "cluster mode"),
        (ResponseError("CLUSTERDOWN Hash slot not served"), "unfit", "cluster mode"),
        (TryAgainError("Multiple keys request during rehashing of slot"), "unfit", "cluster mode"),
        (ResponseError("NOSCRIPT No matching script. Please use EVAL."), "passing", "NOSCRIPT"),
        (RedisConnectionError("max number of clients reached"), "passing", "maxclients"),
        (AuthenticationError("invalid username-password pair or user is disabled."), "passing", "password"),
        (
            ResponseError("NOPERM this user has no permissions to run the 'evalsha' command or its subcommand"),
            "unfit",
            "EVALSHA",
        ),
        (ResponseError("User u has no permissions to run the 'script|load' command"), "unfit", "EVALSHA"),
        (ResponseError("unknown command `EVALSHA`, with args beginning with: `0a1b`, `2`, "), "unfit", "EVALSHA"),
        (MovedError("866 127.0.0.1:7001"), "unfit", "cluster"),
        (ResponseError("CROSSSLOT Keys in request don't hash to the same slot"), "unfit", "cluster"),
        (ResponseError(LUA_6 + "Lua script attempted to access a non local key in a cluster node"), "unfit", "cluster"),
        (ResponseError("DB index is out of range"), "unfit", "database"),
        (ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"), "damaged", "WRONGTYPE"),
        (
            ResponseError(LUA_6 + "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            "damaged",
            "WRONGTYPE",
        ),
        (
            ResponseError("Error running script (call to f_0a1b): @user_script:30: attempt to compare nil with number"),
            "damaged",
            "read",
        ),
    ],
)
def test_an_error_is_known_by_its_words(error: Exception, kind: str, word: str) -> None:
    found = failure(error)
    assert found is not None
    assert found.kind == kind
    assert word in found.why


def test_words_of_a_user_in_the_command_are_not_those_of_redis() -> None:
    said = (
        "Command # 2 (HGET ii:task:OOM MOVED 7 WRONGTYPE) of pipeline caused error: LOADING Redis is loading the"
        " dataset in memory"
    )
    found = failure(ResponseError(said))
    assert found is not None
    assert "LOADING" in found.why
    assert found.kind == "passing"


@pytest.mark.parametrize(
    "error", [RedisConnectionError("Connection refused"), ResponseError("something new"), OSError("gone")]
)
def test_what_is_not_known_is_not_guessed(error: Exception) -> None:
    assert failure(error) is None
