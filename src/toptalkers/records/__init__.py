"""From stored bytes to flow-log lines: packings, archives, and what tools wrap around lines."""
