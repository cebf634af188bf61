"""Fusion metrics: definitions, protocols, tables and the comparison of methods."""
