"""The cluster of a run: its size, its price, whether it can start, the request for it, and why it did not start."""
