"""Fusion: weights, rules and the pure function."""
