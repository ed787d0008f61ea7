"""What ports are called: IANA's registry of service names, and the user's own file."""

from pathlib import Path


class Services:
    """The names of ports."""

    def label(self, port: int | str, protocol: int | str | None) -> str:
        """The name of a service: `https` for TCP, `domain/udp` for another protocol; `8443/tcp` where it has none.

        Args:
            port: the port; `-` for a record without one, whose label is the protocol's name: `icmp`.
            protocol: its number; None, or `-`, if it is not known: TCP is assumed, and no protocol said: `8443`.

        """
        raise NotImplementedError


def read_services(path: Path | None = None) -> Services:
    """Read the registry of this package, and the user's file before it, whose lines are like `8443/tcp orders-api`.

    Raises:
        ToptalkersError: the file cannot be read, or a line is wrong; the error names it.

    """
    raise NotImplementedError
