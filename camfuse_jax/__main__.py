"""`python -m camfuse_jax` is the `camfuse` command."""

import sys

from camfuse_jax.cli import main

if __name__ == "__main__":
    sys.exit(main())
