"""Compare toptalkers with what users would choose instead, in one run: `scripts/bench PART`."""
