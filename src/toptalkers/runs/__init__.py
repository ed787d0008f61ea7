"""A run on a cluster: planned, launched, watched and recorded. Its input and its cluster have folders of their own."""
