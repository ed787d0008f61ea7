"""Fuzzing: random files and questions, counted by the kernel and by the pipe of scripts, which must agree."""
