"""`toptalkers snapshot`: write down what addresses belong to."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from toptalkers.cli.options import Opener
from toptalkers.cli.params import OUTPUT
from toptalkers.cli.progress import progress_bar
from toptalkers.cli.talk import say
from toptalkers.errors import ToptalkersError, UsageError

if TYPE_CHECKING:
    from toptalkers.names.snapshot import Hole, Scope

COUNTED = (
    ("interfaces", "interface"),
    ("instances", "instance"),
    ("groups", "security group"),
    ("subnets", "subnet"),
    ("vpcs", "VPC"),
    ("prefix_lists", "prefix list"),
)
"""What a scope has: the attributes, and one of each in words."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where to ask: a Region, and a profile or a role; None for those of the environment."""

    region: str | None
    profile: str | None
    role: str | None
    external_id: str

    def __str__(self) -> str:
        """The names that the user gave."""
        return " ".join(one for one in (self.role or self.profile, self.region) if one) or "the account"


@click.command()
@click.option(
    "--region", "regions", multiple=True, metavar="REGION", help="AWS Region.  [default: as the AWS CLI has it]"
)
@click.option(
    "--profile", "profiles", multiple=True, metavar="PROFILE", help="AWS profile.  [default: as the AWS CLI has it]"
)
@click.option("--assume-role", "roles", multiple=True, metavar="ARN", help="Act as this IAM role.")
@click.option("--external-id", metavar="TEXT", default="", help="The external id that the roles demand.")
@click.option(
    "--ip-ranges",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="AWS's published ranges, so that their addresses have names: ip-ranges.json.",
)
@click.option(
    "--output",
    type=OUTPUT,
    required=True,
    metavar="FILE",
    help="Write the snapshot to FILE, compressed if it ends in .gz; - is standard output.",
)
@click.pass_context
def snapshot(
    ctx: click.Context,
    *,
    regions: tuple[str, ...],
    profiles: tuple[str, ...],
    roles: tuple[str, ...],
    external_id: str,
    ip_ranges: Path | None,
    output: Path | None,
) -> None:
    """Write down what the addresses of a network belong to, for --names.

    Asks EC2 for network interfaces, instances, security groups, subnets, VPCs and prefix lists, and changes nothing.
    Commands that take the file need no AWS rights.

    --region, --profile and --assume-role may be given several times: all Regions of every account are asked, and are in
    one file. Roles are assumed with one profile.

    What may not be asked is left out, and standard error says what; the exit code is 1 then.

    \b
    Example:
      toptalkers snapshot --output network.json.gz
      toptalkers snapshot --profile prod --profile test --region eu-west-1 --region us-east-1 --output network.json.gz
      curl -O https://ip-ranges.amazonaws.com/ip-ranges.json
      toptalkers snapshot --ip-ranges ip-ranges.json --output network.json.gz
    """
    from toptalkers.answer.output import write_output
    from toptalkers.names.ranges import read_ip_ranges
    from toptalkers.names.snapshot import Snapshot, format_snapshot

    places = list(_places(regions, profiles, roles, external_id))
    ranges = read_ip_ranges(ip_ranges) if ip_ranges else ()
    scopes = _take_scopes(ctx.ensure_object(Opener), places)
    write_output(format_snapshot(Snapshot(tuple(scopes), ranges)), output)
    if output:
        say(f"written to {output}")
    if any(scope.holes for scope in scopes):
        ctx.exit(1)


def _places(regions: Sequence[str], profiles: Sequence[str], roles: Sequence[str], external_id: str) -> Iterator[Place]:
    """All Regions of every account that is named, each once."""
    if len(profiles) > 1 and roles:
        raise UsageError(
            "--assume-role takes one --profile, whose credentials assume the roles",
            hint="make a snapshot for each, and give all of them to --names",
        )
    if external_id and not roles:
        raise UsageError("--external-id is for a role to assume", hint="name the role with --assume-role")
    for profile in dict.fromkeys(profiles) or (None,):
        for role in dict.fromkeys(roles) or (None,):
            for region in dict.fromkeys(regions) or (None,):
                yield Place(region, profile, role, external_id)


def _take_scopes(opener: Opener, places: Sequence[Place]) -> list["Scope"]:
    """Ask in all places; one that fails entirely is a scope with a hole, unless all do."""
    from toptalkers.names.snapshot import EVERYTHING, Hole, Scope

    scopes: list[Scope] = []
    failures: list[ToptalkersError] = []
    for place in places:
        try:
            scope = _take_scope(opener, place)
        except UsageError:
            raise
        except ToptalkersError as error:
            failures.append(error)
            scope = Scope("", place.region or "", int(time.time()), holes=(Hole(EVERYTHING, error.message),))
            say(f"{place}: nothing could be asked: {error.message}")
        else:
            _report(scope)
        scopes.append(scope)
    if len(failures) == len(places):
        raise failures[0]
    return scopes


def _take_scope(opener: Opener, place: Place) -> "Scope":
    from toptalkers.aws.account import RoleToAssume
    from toptalkers.aws.inventory import take_scope

    role = RoleToAssume(place.role, place.external_id) if place.role else None
    account = opener.open(region=place.region, profile=place.profile, role=role)
    with progress_bar(f"asking {place}", None, unit="entries") as advance:
        scope = take_scope(account, advance)
    if scope.holes and not any(getattr(scope, name) for name, _ in COUNTED):
        first = scope.holes[0]
        raise ToptalkersError(
            f"{first.action}: {first.why}", hint="'toptalkers render permissions snapshot' has the policy"
        )
    return scope


def _report(scope: "Scope") -> None:
    """Say what a scope has, and what it lacks."""
    place = f"{scope.account_id or 'account unknown'} {scope.region}"
    say(f"{place}: " + ", ".join(_counted(len(getattr(scope, name)), what) for name, what in COUNTED))
    for hole in scope.holes:
        say(f"{place}: without {hole.action}: {hole.why}")
    if denied := _denied(scope.holes):
        actions = ", ".join(f'"{one}"' for one in denied)
        say(f'{place}: the policy lacks {{"Effect": "Allow", "Action": [{actions}], "Resource": "*"}}')


def _denied(holes: Iterable["Hole"]) -> list[str]:
    return sorted({one.action for one in holes if "access denied" in one.why})


def _counted(number: int, one: str) -> str:
    return f"{number:,} {one}{'' if number == 1 else 's'}"
