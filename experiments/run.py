"""Trains, fuses, scores and draws: `run.py --stage data|ae|cls|fuse|eval|table|figures|all`. See `--help`."""

import sys

from camfuse_jax.app import main

if __name__ == "__main__":
    sys.exit(main())
