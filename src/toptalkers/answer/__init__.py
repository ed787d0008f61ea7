"""What becomes of an answer: fetched, formatted, written."""
