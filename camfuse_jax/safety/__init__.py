"""What keeps results whole: atomic files, locks, signals, and the comparison of saved arrays with expected ones."""
