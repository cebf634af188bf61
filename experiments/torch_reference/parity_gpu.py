"""Fused images in reduced precision on a GPU: told beside the parity table, without a tolerance."""

import contextlib
from collections.abc import Iterator, Sequence

import jax
import numpy as np
import torch

from camfuse_jax.fusion.fuse import fuse_arrays
from camfuse_jax.fusion.params import Params
from torch_reference import fusion as torch_fusion
from torch_reference.bridge import from_params, nchw, nhwc
from torch_reference.table import Row, compare


def rows(params: Params, pairs: Sequence[tuple[str, np.ndarray, np.ndarray]]) -> Iterator[Row]:
    """Float32, TF32 and bfloat16 on the GPU against float32 on the CPU, for each side that has a GPU."""
    _, ir, vis = pairs[0]
    pair = [image[None, ..., None].astype(np.float32) / 255 for image in (ir, vis)]
    told = "x".join(map(str, pair[0].shape))
    with jax.default_device(jax.devices("cpu")[0]):
        expected = np.asarray(fuse_arrays(params, *pair))
    if jax.default_backend() == "gpu":
        name = jax.devices()[0].device_kind
        for told_as, precision in (("float32", "highest"), ("TF32", "tensorfloat32"), ("bfloat16", "bfloat16")):
            with jax.default_matmul_precision(precision):
                found = np.asarray(fuse_arrays(params, *pair))
            yield compare(f"fused, {told_as}, camfuse_jax on {name}", told, expected, found, allowed=None)
    if torch.cuda.is_available():
        model = from_params(params).cuda()
        for told_as in ("float32", "TF32", "bfloat16"):
            torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = told_as == "TF32"
            reduced = torch.autocast("cuda", torch.bfloat16) if told_as == "bfloat16" else contextlib.nullcontext()
            with torch.no_grad(), reduced:
                found = nhwc(torch_fusion.fuse(model, *(nchw(x).cuda() for x in pair)))
            name = torch.cuda.get_device_name()
            yield compare(f"fused, {told_as}, PyTorch on {name}", told, expected, found, allowed=None)
