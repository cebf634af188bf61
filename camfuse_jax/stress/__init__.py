"""Kills, corruption, hostile files, sizes, soak and odd numbers: `python -m camfuse_jax.stress --what kills`."""
