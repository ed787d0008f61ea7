"""The answer as a picture: the network of who talks to whom, and its writers. See `docs/names.md`."""
