"""The counting kernel, in C, and the door to it."""
