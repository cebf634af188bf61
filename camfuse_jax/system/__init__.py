"""What the program asks of the machine: files written whole, locks, signals, checksums and the runtime."""
