"""Top talkers from VPC Flow Logs: who talks to whom, on which port, and how much."""

__version__ = "1.0.0rc1"
