"""A real Hadoop on this machine, and what its logs say."""
