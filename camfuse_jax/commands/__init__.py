"""The sub-commands of `camfuse`, one file each."""
