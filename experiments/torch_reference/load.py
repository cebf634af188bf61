"""A PyTorch model from a converted weights file; needs PyTorch and safetensors, and nothing of JAX."""

import json
import pathlib
import types

from safetensors import safe_open

from torch_reference.networks import CamFuse


def load_model(path: str | pathlib.Path) -> CamFuse:
    """Loads what `--stage convert --to torch` wrote: networks, weights and fusion rule."""
    with safe_open(path, framework="pt") as file:
        described = json.loads(file.metadata()["camfuse_jax"])
        settings = described["fusion"]
        spatial = types.SimpleNamespace(**settings["spatial"])
        model = CamFuse(**described["net"], fusion=types.SimpleNamespace(**{**settings, "spatial": spatial}))
        model.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118 (no dict)
    return model.eval()
