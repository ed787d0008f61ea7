"""What an interface is for, and which name it gives."""

from toptalkers.names.snapshot import Instance, Interface


def describe(interface: Interface, instance: Instance | None) -> tuple[str, str]:
    """The kind and the name of an interface; `docs/names.md` has the table."""
    name = (instance.tags.get("Name") if instance else "") or interface.tags.get("Name")
    kind = "instance" if interface.instance_id else "interface"
    return kind, name or interface.instance_id or interface.interface_id
