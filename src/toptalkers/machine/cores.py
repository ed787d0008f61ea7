"""How much this machine does at a time."""

import os

FETCHES = max(8, min(os.cpu_count() or 1, 32))
"""How many ranges of objects are fetched from S3 at a time.

S3 sends some 90 MB/s for each request (S3 user guide, "Performance design patterns"), which is what a core counts.
"""
