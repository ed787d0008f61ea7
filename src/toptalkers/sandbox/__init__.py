"""A whole AWS on this machine: MiniStack for most of it, an EMR of ours that runs steps on the embedded Hadoop."""
