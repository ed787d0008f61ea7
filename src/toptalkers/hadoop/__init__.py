"""A real Hadoop on this machine, and the reading of its logs."""
