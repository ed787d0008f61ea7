"""What ports are called."""

from pathlib import Path

import pytest

from toptalkers.errors import ToptalkersError
from toptalkers.names.services import read_services


@pytest.mark.parametrize(
    ("port", "protocol", "said"),
    [
        (443, 6, "https"),
        ("443", "6", "https"),
        (443, None, "https"),
        (443, "-", "https"),
        (443, 17, "https/udp"),
        (53, 17, "domain/udp"),
        (80, 6, "http"),
        (22, 6, "ssh"),
        (25, 6, "smtp"),
        (2049, 6, "nfs"),
        (3306, 6, "mysql"),
        (5432, 6, "postgresql"),
        (6379, 6, "redis"),
        (11211, 6, "memcache"),
        (27017, 6, "mongodb"),
        (4789, 17, "vxlan/udp"),
        (4789, 6, "4789/tcp"),
        (6005, 6, "x11"),
        (50051, 6, "50051/tcp"),
        (50051, None, "50051"),
        (50051, "-", "50051"),
        (0, 6, "0/tcp"),
        (0, 1, "icmp"),
        ("-", 1, "icmp"),
        ("-", "58", "icmp6"),
        ("-", 253, "253"),
        ("-", None, "-"),
        ("-", "-", "-"),
        (2905, 132, "m3ua/sctp"),
    ],
)
def test_a_port_has_its_registered_name(port: int | str, protocol: int | str | None, said: str) -> None:
    """A service is called by IANA's registry, with its protocol if that is not TCP; without a name it is its port."""
    assert read_services().label(port, protocol) == said


def test_the_users_names_go_first(tmp_path: Path) -> None:
    """The user's file wins over the registry, and a port over a range, in whichever order they stand."""
    path = tmp_path / "services"
    lines = ["# ours", "", "8443/tcp orders-api", "9005/TCP spark-ui # one of them", "9000-9010/tcp\tspark"]
    path.write_text("\n".join([*lines, "443/udp quic", "50/103 pim-x"]))
    found = read_services(path)
    asked = [(8443, 6), (9000, 6), (9005, 6), (9010, 6), (9011, 6), (443, 17), (443, 6), (50, 103), (8443, 17)]
    assert [found.label(*one) for one in asked] == [
        *("orders-api", "spark", "spark-ui", "spark", "9011/tcp"),
        *("quic/udp", "https", "pim-x/pim", "pcsync-https/udp"),
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("8443 orders-api", "'8443' is not a port with a protocol"),
        ("https 443/tcp", "did you mean '443/tcp https'?"),
        ("443/tpc web", "'tpc' is not a protocol"),
        ("70000/tcp web", "'70000/tcp' is not a range of ports up to 65535"),
        ("20-10/tcp web", "'20-10/tcp' is not a range of ports up to 65535"),
        ("443/tcp", "'443/tcp' has no name"),
        ("443/tcp web site", "'443/tcp' has 2 names"),
        ("443/tcp a|b", "'a|b' cannot be printed"),
        ("80/tcp again", "line 1 names the same ports"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    """A line that is wrong is named by file and number, with what is wrong."""
    path = tmp_path / "services"
    path.write_text(f"80/tcp web\n{line}\n")
    with pytest.raises(ToptalkersError) as caught:
        read_services(path)
    assert caught.value.message == f"{path}, line 2: {said}"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A missing file, a folder and a file that is no text are errors that name it."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "none", tmp_path, tmp_path / "binary"):
        with pytest.raises(ToptalkersError, match="^" + str(path)):
            read_services(path)
