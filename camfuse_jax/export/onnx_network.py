"""Fusion (Eqs. 3-6) as an ONNX graph, built by hand: batch, height and width stay free."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from camfuse_jax.export.onnx_graph import Graph, convolution, crop_like, pad_edge
from camfuse_jax.export.onnx_rules import fusion_rule
from camfuse_jax.fusion import Params
from camfuse_jax.nets.autoencoder import ENCODER_STRIDES, UPSAMPLED_BEFORE
from camfuse_jax.nets.upconv import parity_kernel

_SHAPE = ["n", 1, "h", "w"]


def to_onnx(params: Params) -> bytes:
    """Writes `fuse` as an ONNX model, opset 17.

    Inputs `ir` and `vis` and output `fused` are float32 (n, 1, h, w) in [0, 1], any n, h, w from 1. Margin, padding of
    odd sizes and cropping are inside the graph.

    Raises:
        UsageError: If the package onnx is not installed, or the fusion rule is not exported (`adaptive`, `l1`).
    """
    graph = Graph()
    two, one, half = (graph.constant(name, np.float32(v)) for name, v in (("two", 2), ("one", 1), ("half", 0.5)))
    both = graph.node("Concat", "ir", "vis", axis=0)
    sym = graph.node("Sub", graph.node("Mul", both, two), one, name="images_sym")
    fused = fusion_rule(graph, params, _encoder(graph, sym, params.encoder, margin=params.net.margin))
    drawn = _decoder(graph, fused, params.decoder)
    cut = crop_like(graph, drawn, "ir", margin=params.net.margin)
    graph.node("Mul", graph.node("Add", graph.node("Tanh", cut), one), half, name="fused")
    told = {"range": "float32 in [0, 1]", "inputs": "ir, vis: (n, 1, h, w), same size", "made_by": "camfuse_jax"}
    told["rule"] = params.fusion.rule
    model = graph.model(inputs={"ir": _SHAPE, "vis": _SHAPE}, outputs={"fused": _SHAPE}, told=told)
    return model.SerializeToString()


def _encoder(graph: Graph, x: str, encoder: Mapping[str, Any], *, margin: int) -> str:
    for i, stride in enumerate(ENCODER_STRIDES, start=1):
        conv = encoder[f"conv{i}"]["conv"]
        # Edge padding by the margin and by a convolution's own pixel are one edge padding by both.
        x = pad_edge(graph, x, 1 + (margin if i == 1 else 0))
        name = f"encoder.conv{i}"
        x = graph.node("Relu", convolution(graph, x, *_arrays(conv), name=name, strides=[stride, stride]))
    return x


def _decoder(graph: Graph, x: str, decoder: Mapping[str, Any]) -> str:
    """Upsampling and convolution in one, as `nets.upconv` has them; the 1x1 layer comes before the last parting."""
    for i in range(1, 5):
        name, layer = f"decoder.conv{i}", decoder[f"conv{i}"]
        x = pad_edge(graph, x, 1)
        if i not in UPSAMPLED_BEFORE:
            x = graph.node("Relu", convolution(graph, x, *_arrays(layer["conv"]), name=name))
            continue
        kernel, bias = _arrays(layer["conv"])
        joined = np.asarray(parity_kernel(kernel))
        four = np.asarray(layer["phase"]["bias"]).reshape(-1) if "phase" in layer else np.tile(bias, 4)
        x = graph.node("Relu", convolution(graph, x, joined.reshape(*joined.shape[:3], -1), four, name=name))
        if i < 4:
            x = graph.node("DepthToSpace", x, blocksize=2, mode="DCR")
    kernel, bias = _arrays(decoder["conv5"])
    # One group per parity: the same 1x1 layer for each.
    x = convolution(graph, x, np.tile(kernel, (1, 1, 1, 4)), np.tile(bias, 4), name="decoder.conv5", group=4)
    return graph.node("DepthToSpace", x, blocksize=2, mode="DCR")


def _arrays(conv: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray | None]:
    return np.asarray(conv["kernel"]), np.asarray(conv["bias"]) if "bias" in conv else None
