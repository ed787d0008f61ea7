"""The options that name addresses and services: `--names`, `--names-within`, `--services`. `docs/names.md`."""

import functools
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toptalkers.cli.talk import say
from toptalkers.errors import UsageError
from toptalkers.question.named import needs_names
from toptalkers.question.times import DAY_SECONDS
from toptalkers.visible import quoted

if TYPE_CHECKING:
    from toptalkers.names.owners import Names
    from toptalkers.names.services import Services
    from toptalkers.names.snapshot import Snapshot
    from toptalkers.question.query import Query
    from toptalkers.records.files import InputFile

    Keep = Callable[[Collection[str], Collection[str]], Snapshot]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": DAY_SECONDS}
_WITHIN = re.compile(r"([0-9]{1,9})([smhd])")


@dataclass(frozen=True, slots=True)
class Naming:
    """Where names come from.

    Attributes:
        paths: the snapshots.
        within_s: a name from a snapshot that is further away than so many seconds is marked with `~`.
        services: the user's own file of services; None for none.
        kept: the names that the digests keep which are asked; None for none, and if there are paths.

    """

    paths: tuple[Path, ...] = ()
    within_s: int = DAY_SECONDS
    services: Path | None = None
    kept: "Snapshot | None" = None

    @property
    def has_names(self) -> bool:
        """Whether there are names of addresses."""
        return bool(self.paths) or self.kept is not None

    def load(self) -> "tuple[Names, Services]":
        """Read the snapshots and the services; ToptalkersError for a file that cannot be read, or is wrong."""
        from toptalkers.names.owners import Names, read_names
        from toptalkers.names.services import read_services

        services = read_services(self.services)
        if self.kept:
            return Names([self.kept], within_s=self.within_s), services
        return read_names(self.paths, within_s=self.within_s), services

    def words(self) -> list[str]:
        """The options that give this."""
        words = [word for path in self.paths for word in ("--names", str(path))]
        words += [] if self.within_s == DAY_SECONDS else ["--names-within", f"{self.within_s}s"]
        return words + (["--services", str(self.services)] if self.services else [])


def parse_within(text: str) -> int:
    """Read a length of time, such as `90m`, `24h` or `7d`, into seconds; UsageError for anything else."""
    match = _WITHIN.fullmatch(text.strip().lower())
    if match is None:
        raise UsageError(f"--names-within: {quoted(text)} is not a length of time", hint="for example 90m, 24h or 7d")
    return int(match[1]) * _UNITS[match[2]]


_FILE = click.Path(dir_okay=False, path_type=Path)

_OPTIONS = (
    click.option(
        "--names",
        type=_FILE,
        multiple=True,
        metavar="FILE",
        help="Name addresses by this snapshot, which 'toptalkers snapshot' wrote; of several, each names its own time."
        " --by then takes src.name, dst.asg and the like.",
    ),
    click.option(
        "--names-within",
        metavar="TIME",
        default="24h",
        show_default=True,
        help="Mark a name with ~ if its snapshot is older or younger than this: 90m, 24h, 7d.",
    ),
    click.option(
        "--services",
        type=_FILE,
        metavar="FILE",
        help="Names of your own for --by service, before those of IANA; a line is like '8443/tcp orders-api'.",
    ),
)


def naming_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--names`, `--names-within`, `--services`; it gets `naming`, None without any."""

    @functools.wraps(command)
    def with_naming(*args: Any, names: tuple[Path, ...], names_within: str, services: Path | None, **given: Any) -> Any:
        within_s = parse_within(names_within)
        naming = Naming(tuple(names), within_s, services) if names or services or within_s != DAY_SECONDS else None
        return command(*args, naming=naming, **given)

    return functools.reduce(lambda made, option: option(made), reversed(_OPTIONS), with_naming)


def with_kept(naming: Naming | None, files: "Iterable[InputFile]") -> Naming | None:
    """The same naming, but without `--names` the names that digests among some files keep.

    Says which digests keep none, if others do, and which keep older snapshots than others, which count for its time.

    Raises:
        ToptalkersError: the names in a digest are damaged.

    """
    if naming and naming.paths:
        return naming
    from toptalkers.records.kept import kept_names

    found = kept_names(files)
    if found.snapshot is None:
        return naming
    if found.without:
        others = f" and {len(found.without) - 1:,} more" if len(found.without) > 1 else ""
        say(f"Note: {found.without[0]}{others} keeps no names; its addresses are named by the digests that keep some")
    if found.older:
        others = f" and {len(found.older) - 1:,} more" if len(found.older) > 1 else ""
        say(f"Note: {found.older[0]}{others} keeps older snapshots than others; its addresses may lack names")
    return replace(naming or Naming(), kept=found.snapshot)


def names_to_keep(naming: Naming | None) -> "Keep | None":
    """What finds the names that a digest keeps; None if there are none.

    Raises:
        ToptalkersError: a file cannot be read, or is wrong.

    """
    if naming is None or not naming.has_names:
        return None
    from toptalkers.names.kept import merged

    names, _ = naming.load()
    return lambda addresses, interfaces: merged(names.only(addresses, interfaces))


def load_names(query: "Query", naming: Naming | None) -> "tuple[Names, Services] | None":
    """Read what a question, or the names beside its addresses, need. None if that is nothing.

    Raises:
        UsageError: the key names addresses, and there are no names.
        ToptalkersError: a file cannot be read, or is wrong.

    """
    if (naming is None or not naming.has_names) and (words := needs_names(query.by)):
        raise UsageError(
            f"--by {words[0]}: there are no names, because no --names is given",
            hint="name a snapshot with --names; 'toptalkers snapshot' makes one",
        )
    if not query.is_named and (naming is None or not naming.has_names):
        return None
    return (naming or Naming()).load()
