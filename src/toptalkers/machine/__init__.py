"""Resources of this machine: memory, temporary folders, whole files, and processes that end with their parent."""
