"""Named parts of a key: what the addresses of a talker belong to (`src.asg`, `dst.tag:app`), and its `service`.

Names are joined after counting, because no flow record has them: an engine answers the question by addresses
(`address_question`), and `answer/named.py` names and collapses its lines. No engine sees a named part. `docs/names.md`
has the rules.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from toptalkers.question.query import Query

Side = Literal["src", "dst"]

SIDES: tuple[Side, ...] = get_args(Side)

Property = Literal["name", "sg", "asg", "instance", "subnet", "vpc", "zone", "kind", "tag"]

PROPERTIES: tuple[Property, ...] = get_args(Property)
"""What an address can be named by."""

SERVICE = "service"
"""The part that names the service's port and protocol: `https`, `postgresql`, `8443/tcp`."""

OTHER_TIME = "~"
"""What stands before a name of another time (`docs/names.md`)."""

BETWEEN_OWNERS = "|"
"""What stands between the names of several owners."""

LOSSLESS_KEY = ("hour", "interface-id", "srcaddr", "dstaddr", "service-port", "protocol")
"""The key of an answer that can be named in every way, but for conversations, which have no `interface-id`."""

_NAMED = re.compile(
    rf"({'|'.join(SIDES)})[.](?:({'|'.join(PROPERTIES[:-1])})|(tag):([^,\x00-\x1f\x7f]{{1,128}}))", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class NamedPart:
    """One side of a talker, and what it is named by; `tag` is the tag's key, which only `tag` has."""

    side: Side
    by: Property
    tag: str = ""

    @property
    def word(self) -> str:
        """How `--by` writes it."""
        return f"{self.side}.{self.by}" + (f":{self.tag}" if self.by == "tag" else "")


def parse_named(text: str) -> NamedPart | None:
    """Read a named part such as `src.asg` or `dst.tag:app`, in any case but for the tag's key; None for other parts."""
    match = _NAMED.fullmatch(text.strip())
    if match is None:
        return None
    side: Side = "src" if match[1].lower() == "src" else "dst"
    if match[3]:
        return NamedPart(side, "tag", match[4].strip())
    return NamedPart(side, next(one for one in PROPERTIES if one == match[2].lower()))


def is_named(word: str) -> bool:
    """Whether a part of a key is joined after counting."""
    return word == SERVICE or parse_named(word) is not None


def needs_names(key: Sequence[str]) -> list[str]:
    """The parts of a key that need the names of addresses: all named ones but `service`."""
    return [word for word in key if parse_named(word)]


def hint_of_named(word: str) -> str | None:
    """What is probably meant by a word that looks like a named part, but is none; None if it does not look like one.

    Such as `src.nme`, `srcasg`, `src.tag` without a key, `client.name`, or `asg` without a side.
    """
    from difflib import get_close_matches

    words = {f"{side}.{one}": f"{side}.{one}" for side in SIDES for one in PROPERTIES}
    words |= {f"{other}.{one}": f"{side}.{one}" for other, side in _OTHER_SIDES.items() for one in PROPERTIES}
    words |= {f"{side}.{other}": f"{side}.{one}" for side in SIDES for other, one in _OTHER_WORDS.items()}
    by_letters = {re.sub(r"[^a-z]", "", one): meant for one, meant in words.items()}
    own, _, key = word.partition(":")
    one = _OTHER_WORDS.get(own, own)
    if one in PROPERTIES:
        tag = f":{key or 'app'}" if one == "tag" else ""
        return f"name the side: {' or '.join(f'{side}.{one}{tag}' for side in SIDES)}"
    is_sided = own.startswith((*SIDES, *_OTHER_SIDES)) and not own.startswith(("srcport", "dstport"))
    letters = re.sub(r"[^a-z]", "", own)
    close = get_close_matches(letters, by_letters, n=1, cutoff=0.75) if is_sided and "/" not in own else []
    if not close or own.endswith(".") or (letters not in by_letters and "." not in own):
        return None
    meant = by_letters[close[0]]
    if meant.endswith(".tag"):
        return f"a tag has a key: '{meant}:{key or 'app'}'"
    return f"did you mean {meant!r}?"


_OTHER_SIDES = {"source": "src", "client": "src", "destination": "dst", "dest": "dst", "server": "dst"}
_OTHER_WORDS = {
    "security-group": "sg",
    "securitygroup": "sg",
    "group": "sg",
    "autoscaling": "asg",
    "auto-scaling-group": "asg",
    "az": "zone",
    "host": "name",
    "type": "kind",
    "instance-name": "name",
}
"""Words of other tools for sides and for what an address is named by."""


def address_question(query: "Query", *, interface: bool = False) -> "Query":
    """The question by addresses that an engine answers for a question with named parts; others stay as they are.

    Its key has the plain parts of the question's own, and what the named parts are made from: `hour`, so that an
    address is named by its owner of that time; the addresses of the sides; `service-port` and `protocol`. With
    `--pairs` it is the question of pairs, whose lines have no hour.

    Args:
        query: the question.
        interface: whether the key also has `interface-id`, which tells apart two VPCs that share a range. A question
            that counts conversations once has none.

    """
    if not query.is_named:
        return query
    if query.pairs:
        from toptalkers.question.key import RECIPE_KEY

        return replace(query, by=RECIPE_KEY)
    return replace(query, by=_address_key(query.by, interface=interface and query.count == "records"))


def _address_key(by: Sequence[str], *, interface: bool) -> tuple[str, ...]:
    parts = ["hour", *(["interface-id"] if interface else [])]
    for word in by:
        named = parse_named(word)
        if named:
            parts.append(f"{named.side}addr")
        elif word == SERVICE:
            parts += ["service-port", "protocol"]
        else:
            parts.append(word)
    return tuple(dict.fromkeys(parts))
