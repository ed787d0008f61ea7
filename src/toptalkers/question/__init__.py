"""What is asked, and the key of its answer."""
