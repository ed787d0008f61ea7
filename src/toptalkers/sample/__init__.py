"""Real-shaped flow logs of a made-up company, to try, to test and to measure with. Standard library only."""
