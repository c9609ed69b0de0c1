"""Tests of what the bench computes."""
