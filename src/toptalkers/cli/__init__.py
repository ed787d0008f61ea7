"""The command line: one thin command per file. Only this room imports click."""
