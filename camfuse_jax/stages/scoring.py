"""What the scoring stages share: whose images, which weights, our own fused images."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from camfuse_jax import fusion
from camfuse_jax.data.sources import PairSource
from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.fusion import Params
from camfuse_jax.images import write_gray
from camfuse_jax.stages.places import NAMED, Places

OURS = "camfuse"
PEERS_VARIABLE = "CAMFUSE_PEERS"


def fuse_pairs(params: Params, pairs: PairSource, out: Path) -> dict[str, UInt8[np.ndarray, "h w"]]:
    """Fuses every pair and writes it to `OUT/camfuse/NAME.png`.

    Returns:
        Fused images by name.

    Raises:
        ResourceError: If a file cannot be written.
    """
    fused = {}
    buckets = fusion.plan(image.shape for image in pairs.vis)
    for name, ir, vis in pairs:
        fused[name] = np.asarray(fusion.fuse(params, ir, vis, buckets=buckets))
        write_gray(out / OURS / f"{name}.png", fused[name])
    return fused


def choose_weights(places: Places, weights: str | None) -> str:
    """What `load_params` takes: the given weights, else the workdir's own, else the shipped ones."""
    if weights is not None:
        return weights
    if places.trained.is_file():
        return str(places.trained)
    return places.dataset if places.dataset in NAMED else NAMED[0]


def named_folders(texts: Sequence[str]) -> dict[str, Path]:
    """Reads `NAME=DIR` of other methods' fused images.

    Raises:
        UsageError: If one is not of this form, or a name occurs twice.
    """
    folders: dict[str, Path] = {}
    for text in texts:
        name, separator, folder = text.partition("=")
        if not separator or not name or not folder:
            raise UsageError(f"--fused {text} does not name a method and a folder.", "Write --fused NAME=DIR.")
        if name in folders:
            raise UsageError(f"--fused names {name} twice.", "Give each method its own name.")
        folders[name] = Path(folder)
    return folders


def folders_or_peers(texts: Sequence[str], dataset: str) -> dict[str, Path]:
    """As `named_folders`; without any, the methods `METHOD/DATASET` of the folder that CAMFUSE_PEERS names.

    Raises:
        InputError: If CAMFUSE_PEERS names no folder.
        UsageError: As `named_folders`.
    """
    named = os.environ.get(PEERS_VARIABLE)
    if texts or not named:
        return named_folders(texts)
    root = Path(named)
    if not root.is_dir():
        raise InputError(f"{PEERS_VARIABLE} names {root}, which is not a folder.", "Correct it, or give --fused.")
    return {method.name: method / dataset for method in sorted(root.iterdir()) if (method / dataset).is_dir()}
