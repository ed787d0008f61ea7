"""Where a question runs on this machine."""
