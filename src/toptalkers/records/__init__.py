"""From stored bytes to flow-log lines: compression, archives, and the wrappings of tools."""
