"""The sub-commands of `camfuse`, one file each; a new one is a dataclass with `run()` and a line in `cli`."""
