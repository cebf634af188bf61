"""Many pairs of files: plan, run and inspect."""
