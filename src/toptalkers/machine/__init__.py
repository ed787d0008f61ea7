"""What this machine gives and keeps: memory, folders, whole files, and processes that end with their starter."""
