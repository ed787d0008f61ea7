"""What all tests share."""

from hypothesis import settings

# Tests check what is true, not how fast: a busy machine must not make one fail.
settings.register_profile("toptalkers", deadline=None)
settings.load_profile("toptalkers")
