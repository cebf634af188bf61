"""The stages of `experiments/run.py` that compare with PyTorch."""

import pathlib
from typing import Any

import numpy as np

import camfuse_jax
from camfuse_jax.data.splits import pair_paths
from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.fusion.params import load_params
from camfuse_jax.images.read import read_gray

_DEMO = pathlib.Path(camfuse_jax.__file__).parent / "demo"
_SMALLEST = 80


def convert(options: Any) -> None:
    """Stage `convert`: see `torch_reference.convert`."""
    from torch_reference.convert import convert as run

    if options.weights is None:
        raise UsageError("Stage convert needs --weights.", "Give tno, roadscene or a .safetensors file.")
    run(weights=options.weights, to=options.to, out=options.out)


def parity(options: Any) -> None:
    """Stage `parity`: see `torch_reference.parity`."""
    _need_torch("parity")
    from torch_reference.parity import parity as run

    name = options.weights or "tno"
    params = load_params(name)
    run(options.config, params, _pairs(options), weights=name, out=options.out or options.workdir / "parity")


def bench(options: Any) -> None:
    """Stage `bench`: see `torch_reference.bench`."""
    from torch_reference.bench import bench as run

    name = options.weights or "tno"
    run(options.config, options.bench, weights=name, out=options.out or options.workdir / "bench")


def _need_torch(stage: str) -> None:
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise UsageError(f"Stage {stage} needs PyTorch.", "Run `pip install '.[torch]'`.") from error


def _pairs(options: Any) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """The pairs to fuse: the files or folders given, else the demo pair."""
    if (options.ir is None) != (options.vis is None):
        raise UsageError("Only one of --ir and --vis is given.", "Give both, or neither for the demo pair.")
    if options.ir is None:
        return [("demo", read_gray(_DEMO / "ir.png"), read_gray(_DEMO / "vis.png"))]
    pairs = [(pair.name, read_gray(pair.ir), read_gray(pair.vis)) for pair in pair_paths(options.ir, options.vis)]
    for name, ir, vis in pairs:
        if ir.shape != vis.shape:
            raise InputError(f"{name}: ir has shape {ir.shape} but vis has {vis.shape}.")
    if min(pairs[0][1].shape) < _SMALLEST:
        raise InputError(f"{pairs[0][0]} is smaller than {_SMALLEST} pixels, and training windows are cut from it.")
    return pairs
