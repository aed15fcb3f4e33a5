"""`python -m models.trial_child`: loads bundles that nobody has loaded yet, one after another, and says whether they
can be used.

A bundle comes on standard input: a line of JSON with the sizes and bounds, then the bytes. The answer is a line on
standard output. What the library does to this process (a crash, all memory, no end) is the answer, too: see
`models.trial`. It ends with its parent."""

import os
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np
from msgspec import Struct

from models import kinds
from models.bundle import BundleCorrupt, BundleFiles, contributions, make_bundle, score
from schemas.manifests import ModelManifest

EXPLAINED_ROWS, SCORED_ROWS = 4, 64


class TrialOrder(Struct):
    """What follows, in bytes; null: there is no such file. The bounds come on top of what is used by now."""

    manifest: int
    model: int
    golden: int | None
    preparation: int | None
    memory: int
    seconds: int


class TrialAnswer(Struct):
    """`problem` null: the bundle can be used."""

    problem: str | None


def main() -> None:
    """Try bundles out until standard input ends."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever the library prints
    kinds.warm()
    while line := sys.stdin.buffer.readline():
        order = msgspec.json.decode(line, type=TrialOrder)
        content = _content(order, sys.stdin.buffer)
        _bound(order)
        answers.write(msgspec.json.encode(TrialAnswer(_problem(content))) + b"\n")


def _content(order: TrialOrder, source: BinaryIO) -> BundleFiles:
    manifest = ModelManifest.model_validate_json(source.read(order.manifest))
    model, golden = source.read(order.model), None if order.golden is None else source.read(order.golden)
    return BundleFiles(manifest, model, golden, None if order.preparation is None else source.read(order.preparation))


def _problem(content: BundleFiles) -> str | None:
    try:
        bundle = make_bundle(content)
        features = len(content.manifest.features)
        rows = np.random.default_rng(0).normal(scale=100.0, size=(SCORED_ROWS, features)).astype(np.float32)
        rows[::2][np.random.default_rng(1).random(rows[::2].shape) < 0.5] = np.nan
        probabilities = score(bundle, rows)
        for approximate in (False, True):
            contributions(bundle, rows[:EXPLAINED_ROWS], approximate=approximate)
    except BundleCorrupt as error:
        return error.detail
    except MemoryError:
        return "it takes more memory than a model of its size may"
    except Exception as error:  # of the library: the bundle cannot be used, whatever it is
        said = (str(error).splitlines() or [type(error).__name__])[0]
        return f"{kinds.find(content.manifest.kind).title} cannot use it: {said}"
    if probabilities.shape != (SCORED_ROWS,) or not bool(((probabilities >= 0) & (probabilities <= 1)).all()):
        return "it does not give one probability for each row"
    return None


def _bound(order: TrialOrder) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    _lower(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + order.seconds)
    with suppress(OSError):  # only Linux tells
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        _lower(resource.RLIMIT_AS, pages * resource.getpagesize() + order.memory)


def _lower(what: int, bound: int) -> None:
    hard = resource.getrlimit(what)[1]
    resource.setrlimit(what, (bound if hard == resource.RLIM_INFINITY else min(bound, hard), hard))


if __name__ == "__main__":
    main()
