"""Fuzzing: the kernel and the pipe of scripts count random files for random questions, and must agree."""
