"""The process that does one job: `python -m trainer.child.process`, the job as a line on standard input, reports as
lines on standard output.

It dies with its parent: standard input stays open as long as the parent lives. Whatever a library prints goes to
standard error."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import structlog

from models.kinds.xgboost import import_xgboost
from runtime.logging import configure
from storage.errors import StorageFull, StorageUnavailable, StoredFileMissing
from storage.objects.files import Storage
from trainer.child.reporting import Reporter
from trainer.child.wire import Done, Failed, Job, Outcome, Report, StorageUnreachable, decode_job, encode
from trainer.errors import JobFailed
from trainer.patience import PatientStorage

log = structlog.get_logger()
ORPHANED = 3
NO_MEMORY = "There is not enough memory for this job."


def main() -> None:
    """Do the job and report its outcome, whatever happens."""
    reports = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    _be_first_to_go()
    with open(0, "rb", buffering=0, closefd=False) as orders:
        job = decode_job(orders.readline())
    threading.Thread(target=_die_with_parent, daemon=True).start()
    configure("trainer-job", os.environ.get("LOG_LEVEL", "INFO"), os.environ.get("LOG_FORMAT", "json"))
    structlog.contextvars.bind_contextvars(task_id=job.task.task_id, attempt=job.task.attempt)

    def send(report: Report) -> None:
        reports.write(encode(report) + b"\n")

    send(outcome(job, send))


def outcome(job: Job, send: Callable[[Report], None]) -> Outcome:
    """Do the job; every failure becomes an outcome, so that the parent can tell a person."""
    try:
        with Storage(job.storage_url).classified():
            return _do(job, send)
    except JobFailed as error:
        return Failed(str(error))
    except StorageFull as error:
        return Failed(f"There is no room for what the task writes: {error}.")
    except StoredFileMissing as error:
        return Failed(f"A file is missing in the storage: {error}.")
    except StorageUnavailable as error:
        log.error("the storage does not answer", error=str(error))
        return StorageUnreachable(str(error))
    except MemoryError:
        log.exception("memory ran out")
        return Failed(NO_MEMORY)
    except Exception as error:  # a bug: its place is in the log, and the task must not be tried again and again
        if "bad_alloc" in str(error):  # as XGBoost calls it
            log.exception("memory ran out")
            return Failed(NO_MEMORY)
        log.exception("the job failed unexpectedly")
        return Failed(f"Unexpected error, see the trainer's log: {type(error).__name__}: {error}")


def _do(job: Job, send: Callable[[Report], None]) -> Done:
    storage = PatientStorage(job.storage_url, job.storage_attempts)
    reporter = Reporter(f"trainer.{job.task.kind}", send)
    import_xgboost()  # before the modules that import it by name
    if job.task.kind == "feature_selection":
        from trainer.feature_selection import select_features

        return select_features(storage, job.task, job.selection, job.threads, reporter)
    from trainer.training_job import train

    return train(storage, job.task, job.threads, job.backend, reporter)


def _die_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(ORPHANED)


def _be_first_to_go() -> None:
    """When memory runs out on Linux, this process is to be killed, not the trainer."""
    adjustment = Path("/proc/self/oom_score_adj")
    if adjustment.exists():
        adjustment.write_text("500")


if __name__ == "__main__":
    main()
