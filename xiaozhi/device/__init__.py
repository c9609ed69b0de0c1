"""A device in the box: a program that behaves as the firmware does."""
