"""The first load of a bundle, in a child process: a model that crashes the library, takes all memory or never ends does
it there.

One warm child serves all; it is replaced when it is lost. What came of it is remembered by digest. Blocks: run it in a
thread."""

import signal
import subprocess
import sys
import threading
import time
from collections import OrderedDict

import msgspec
import structlog

from models import kinds
from models.bundle import BundleFiles, digest
from models.kinds.base import Unusable
from models.trial_child import TrialAnswer, TrialOrder

SECONDS, BYTES_PER_SECOND = 20.0, 10 << 20
MEMORY_BYTES, MEMORY_PER_BYTE = 1 << 30, 16
REMEMBERED = 1000

log = structlog.get_logger()


class Trial:
    """`problem` tries a bundle out; `warm` starts the child before it is needed; `close` ends it."""

    def __init__(self, *, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._child: subprocess.Popen[bytes] | None = None
        self._known: OrderedDict[str, str | None] = OrderedDict()
        self._one_at_a_time = threading.Lock()

    def warm(self) -> None:
        """Start the child."""
        with self._one_at_a_time:
            self._running()

    def close(self) -> None:
        """End the child."""
        if (child := self._child) is not None:
            child.kill()
            child.wait()

    def problem(self, content: BundleFiles) -> str | None:
        """Why the bundle cannot be used; None when it can."""
        name = digest(content.manifest)  # it names the sums of the files, which are verified
        with self._one_at_a_time:
            if name not in self._known:
                self._known[name] = self._tried(content)
                while len(self._known) > REMEMBERED:
                    self._known.popitem(last=False)
            return self._known[name]

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._child.poll() is not None:
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-m", "models.trial_child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
        return self._child

    def _tried(self, content: BundleFiles) -> str | None:
        child, began = self._running(), time.monotonic()
        seconds = self._seconds + len(content.model) / BYTES_PER_SECOND
        manifest = content.manifest.model_dump_json().encode()
        golden, preparation = content.golden_rows, content.preparation
        memory = MEMORY_BYTES + MEMORY_PER_BYTE * len(content.model)
        order = TrialOrder(
            len(manifest), len(content.model), _size(golden), _size(preparation), memory, int(seconds) + 1
        )
        too_long = threading.Timer(seconds, child.kill)
        too_long.start()
        try:
            answer = _asked(
                child,
                msgspec.json.encode(order) + b"\n" + manifest + content.model + (golden or b"") + (preparation or b""),
            )
        finally:
            too_long.cancel()
        took = time.monotonic() - began
        log.info(
            "bundle tried out",
            model_version=content.manifest.model_version,
            seconds=round(took, 3),
            answered=answer is not None,
        )
        if answer is not None:
            return answer.problem
        child.kill()
        code = child.wait()
        if took >= seconds or code == -signal.SIGXCPU:
            return f"{_title(content)} was not done with it after {seconds:.0f} s"
        return f"{_title(content)} crashed on it ({signal.Signals(-code).name if code < 0 else f'code {code}'})"


def _asked(child: subprocess.Popen[bytes], order: bytes) -> TrialAnswer | None:
    """The child's answer; None when it is lost."""
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(order)
        child.stdin.flush()
        return msgspec.json.decode(child.stdout.readline(), type=TrialAnswer)
    except (OSError, msgspec.MsgspecError):
        return None


def _size(file: bytes | None) -> int | None:
    return None if file is None else len(file)


def _title(content: BundleFiles) -> str:
    try:
        return kinds.find(content.manifest.kind).title
    except Unusable:
        return "The library"
