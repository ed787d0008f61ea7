"""Real-shaped VPC flow logs of a made-up company: for the first run, for tests, for measurements, for replays."""
