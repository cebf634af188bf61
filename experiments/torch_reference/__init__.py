"""The same networks, losses and training in plain PyTorch, for comparison only; the package never imports this."""
