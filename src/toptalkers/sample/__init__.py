"""Realistic flow logs of a made-up company, for trials, tests and measurements. Standard library only."""
