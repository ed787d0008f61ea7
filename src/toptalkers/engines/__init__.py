"""Where a question runs on this machine: files in, an answer out, whichever the engine."""
