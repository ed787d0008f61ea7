"""What is set up in an account and taken down again: first a plan, then its execution, then a watch over it."""
