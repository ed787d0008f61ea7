"""Measures toptalkers beside what a user would pick instead, in one run: `scripts/bench PART`."""
