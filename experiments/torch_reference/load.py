"""A PyTorch model from a converted weights file; needs PyTorch and safetensors, and nothing of JAX."""

import json
import pathlib

from safetensors import safe_open

from torch_reference.networks import CamFuse


def load_model(path: str | pathlib.Path) -> CamFuse:
    """Loads what `--stage convert --to torch` wrote."""
    with safe_open(path, framework="pt") as file:
        model = CamFuse(**json.loads(file.metadata()["net"]))
        model.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118 (no dict)
    return model.eval()
