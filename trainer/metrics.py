"""Every metric of the trainer, declared once."""

from prometheus_client import Counter, Gauge, Histogram

JOBS_RUNNING = Gauge("trainer_jobs_running", "Jobs that run in a child process now", ["kind"])
JOBS_WAITING = Gauge("trainer_jobs_waiting", "Accepted tasks that wait for a free place", ["kind"])
JOBS_ENDED = Counter("trainer_jobs_ended_total", "Tasks that reached a terminal state here", ["kind", "status"])
JOB_ATTEMPTS = Counter("trainer_job_attempts_total", "Child processes started", ["kind"])
JOB_SECONDS = Histogram(
    "trainer_job_seconds",
    "Duration of a job from its start to its end",
    ["kind"],
    buckets=(1, 3, 10, 30, 100, 300, 1000, 3000),
)
