"""The jars of a Hadoop: a pinned list in, verified files in the ordinary Maven cache out.

A list names one artifact per line, `group:artifact:version sha256`. `jars.txt`, beside this file, has all that
Hadoop Streaming 3.4.2 with S3A needs in one JVM: the shaded client, and the modules of the AWS SDK in place of its
600 MB bundle. `scripts/pin-hadoop-jars` writes such lists.

jgo's Maven client downloads each artifact by its exact version, so that it reads no POM, which the list does not pin.
A download goes to a folder of its own first, and to its place only if its SHA-256 is the one in the list.
"""

import contextlib
import fcntl
import hashlib
import importlib.resources
import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from toptalkers.errors import ToptalkersError
from toptalkers.machine.scratch import scratch_folder

INSTALL_HINT = "pip install 'toptalkers[sandbox]'"

DOWNLOADS_AT_ONCE = 8

_WORD = r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*"

_LINE = re.compile(rf"({_WORD}):({_WORD}):({_WORD}) ([0-9a-f]{{64}})")


@dataclass(frozen=True)
class Jar:
    """One artifact of a pinned list."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def coordinates(self) -> str:
        """`group:artifact:version`."""
        return f"{self.group}:{self.artifact}:{self.version}"

    def path_in(self, repository: Path) -> Path:
        """Its place in a repository, by Maven's layout."""
        name = f"{self.artifact}-{self.version}.jar"
        return repository.joinpath(*self.group.split("."), self.artifact, self.version, name)


def parse_jar_list(text: str) -> list[Jar]:
    """Parse a pinned list; ValueError names a wrong line."""
    jars = []
    for line in text.splitlines():
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise ValueError(f"not `group:artifact:version sha256`: {line!r}")
        jars.append(Jar(*match.groups()))
    return jars


def embedded_jars() -> list[Jar]:
    """List the jars that Hadoop Streaming with S3A needs in one JVM, in the order of the class path."""
    return parse_jar_list(importlib.resources.files(__package__).joinpath("jars.txt").read_text())


def fetch_jars(
    jars: Sequence[Jar],
    *,
    repository: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    download: Callable[[Jar, Path], None] | None = None,
) -> list[Path]:
    """Return the paths of these jars, in their order, each with the content that was pinned.

    All are hashed each time: 73 MB in 0.1 s. Missing and damaged jars are fetched, once; only that needs the network.

    The Maven cache is `repository`, by default that of all Maven clients: `M2_REPO`, or `~/.m2/repository`. `progress`
    is called with the number of jars fetched and of all, when there is anything to fetch. `download` downloads a jar to
    its place in a repository.

    Raises:
        ToptalkersError: jgo is missing, a jar cannot be fetched or is not the one that was pinned, or the cache cannot
            be used.

    """
    repository = repository or Path(os.environ.get("M2_REPO") or Path.home() / ".m2" / "repository")
    try:
        with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
            right = list(pool.map(lambda jar: _is_right(jar, repository), jars))
        wrong = [jar for jar, is_right in zip(jars, right, strict=True) if not is_right]
        if wrong:
            already = len(jars) - len(wrong)
            with _locked(repository), ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
                futures = [pool.submit(_fetch, jar, repository, download or download_by_jgo) for jar in wrong]
                try:
                    for done, future in enumerate(as_completed(futures), already + 1):
                        future.result()
                        if progress:
                            progress(done, len(jars))
                finally:
                    pool.shutdown(cancel_futures=True)
        return [jar.path_in(repository) for jar in jars]
    except OSError as error:
        raise ToptalkersError(
            f"the Maven cache {repository} cannot be used: {error.strerror or error}",
            hint="M2_REPO names another folder",
        ) from error


def _is_right(jar: Jar, repository: Path) -> bool:
    path = jar.path_in(repository)
    return path.is_file() and _sha256(path) == jar.sha256


def _fetch(jar: Jar, repository: Path, download: Callable[[Jar, Path], None]) -> None:
    if _is_right(jar, repository):
        return  # another process fetched it while we waited for the lock
    with scratch_folder(".toptalkers-", repository) as folder:
        download(jar, folder)
        come = jar.path_in(folder)
        found = _sha256(come) if come.is_file() else "that of nothing"
        if found != jar.sha256:
            raise ToptalkersError(
                f"{jar.coordinates} was fetched, but its SHA-256 is {found} and not the pinned {jar.sha256}",
                hint="something between here and the Maven repository changes files (a proxy, a mirror); "
                "try another network. The file was deleted",
            )
        path = jar.path_in(repository)
        path.parent.mkdir(parents=True, exist_ok=True)
        come.replace(path)  # replaces a damaged jar, and never halfway


def download_by_jgo(jar: Jar, repository: Path) -> None:
    """Download a jar to its place in a repository; ToptalkersError when that fails."""
    try:
        from jgo.maven import MavenContext
    except ImportError:
        raise ToptalkersError("Hadoop's jars are fetched by jgo, not installed", hint=INSTALL_HINT) from None
    context = MavenContext(repo_cache=repository)
    try:
        context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
    except (OSError, RuntimeError, ValueError) as error:  # requests' errors are OSErrors, jgo's own RuntimeErrors
        raise ToptalkersError(
            f"{jar.coordinates} could not be fetched: {error}",
            hint="the first run needs the network (73 MB); what was fetched is kept, so run it again",
        ) from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _locked(repository: Path) -> Iterator[None]:
    """Let one process fetch at a time, so that the next one finds the jars."""
    repository.mkdir(parents=True, exist_ok=True)
    with (repository / ".toptalkers.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
