"""What a flow-log record is: its fields by version, and its layouts. Standard library only."""
