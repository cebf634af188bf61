"""The three networks and their parameters."""
