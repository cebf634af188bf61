"""The metrics held against other implementations, and their speed."""
