"""A run on a cluster: what it reads, the request, the watch over it, and its record."""
