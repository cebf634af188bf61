"""Kills, damaged files, fuzzing and long runs."""
