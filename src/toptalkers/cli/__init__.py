"""The command line: one thin command a file, over plain functions. The only click."""
