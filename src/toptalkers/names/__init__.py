"""What addresses belong to: snapshots of an AWS network, and the names that they give. See `docs/names.md`."""
