"""Answers: fetch, format and write them."""
