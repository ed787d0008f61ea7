"""A run on a cluster: its input, the request, the watch over it, and its record."""
