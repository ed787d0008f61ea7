"""What a flow-log record is: its fields by version, its layouts, its talkers. Standard library only."""
