"""The fusion rules as ONNX nodes: `camfuse_jax.fusion.rules` in NCHW, any batch, height and width."""

from collections.abc import Callable

import numpy as np

from camfuse_jax.config import Modality
from camfuse_jax.errors import UsageError
from camfuse_jax.export.onnx_graph import Graph, gaussian
from camfuse_jax.fusion import Params
from camfuse_jax.fusion.rules import FLAT, SILENT


def fusion_rule(graph: Graph, params: Params, features: str) -> str:
    """Adds the rule of the weights.

    Args:
        graph: Where to add it.
        params: Weights, with their rule and balance.
        features: Both images' features, (2 n, k, h, w), infrared first.

    Returns:
        The fused features, (n, k, h, w).

    Raises:
        UsageError: If the rule is not among those that are exported.
    """
    rule = params.fusion.rule
    if rule not in _RULES:
        raise UsageError(
            f"Fusion rule {rule} cannot be exported to ONNX.",
            f"Rules that can: {', '.join(_RULES)}. StableHLO (--to stablehlo) takes every rule.",
        )
    return _RULES[rule](graph, params, features)


def _eq5(graph: Graph, params: Params, features: str) -> str:
    """Each channel times its channel weight, added (Eqs. 3 and 5); `gain` scales both."""
    return _weighted(graph, features, np.asarray(params.channel_weights) * params.fusion.gain)


def _unit_sum(graph: Graph, params: Params, features: str) -> str:
    weights = np.asarray(params.channel_weights)
    return _weighted(graph, features, weights / weights.sum(axis=0) * params.fusion.gain)


def _weighted(graph: Graph, features: str, weights: np.ndarray) -> str:
    laid = weights.astype(np.float32).reshape(2, 1, -1, 1, 1)
    parts = [
        graph.node("Mul", x, graph.constant(f"channel_weights.{kind.name.lower()}", laid[kind]))
        for kind, x in zip(Modality, graph.halves(features, prefix="features"), strict=True)
    ]
    return graph.node("Add", *parts, name="fused_features")


def _mean(graph: Graph, params: Params, features: str) -> str:
    added = graph.node("Add", *graph.halves(features, prefix="features"))
    return graph.node("Mul", added, _number(graph, 0.5), name="fused_features")


def _add(graph: Graph, params: Params, features: str) -> str:
    return graph.node("Add", *graph.halves(features, prefix="features"), name="fused_features")


def _max(graph: Graph, params: Params, features: str) -> str:
    return graph.node("Max", *graph.halves(features, prefix="features"), name="fused_features")


def _place(graph: Graph, params: Params, features: str) -> str:
    """Brightness added, detail from where the class activity is."""
    settings, channels = params.fusion, params.net.encoder_widths[-1]
    base = gaussian(graph, features, settings.base_cells, channels=channels, name="base")
    details = graph.halves(graph.node("Sub", features, base), prefix="detail")
    mean = graph.node("ReduceMean", graph.node("ReduceMean", features, axes=[3]), axes=[2])
    means = graph.halves(mean, prefix="mean")
    contrasts = graph.halves(graph.node("Sub", base, mean), prefix="contrast")
    same = _sameness(graph, *contrasts)

    def blend(parts: tuple[str, str]) -> str:
        shares = [_number(graph, float(share)) for share in params.balance]
        return graph.node("Add", *(graph.node("Mul", x, w) for x, w in zip(parts, shares, strict=True)))

    # Level and gains go from their settings to one as the two images become the same.
    level = _affine(graph, same, 1 - settings.level, settings.level)
    brightness = graph.node("Mul", level, blend(means))
    contrast = graph.node("Mul", _once(graph, same, settings.base_gain), blend(contrasts))
    share = _ir_share(graph, params, details, contrasts)
    # share * ir + (1 - share) * vis, with one product less.
    apart = graph.node("Mul", share, graph.node("Sub", *details))
    detail = graph.node("Mul", _once(graph, same, settings.detail_gain), graph.node("Add", apart, details[1]))
    return graph.node("Add", graph.node("Add", brightness, contrast), detail, name="fused_features")


def _ir_share(graph: Graph, params: Params, details: tuple[str, str], contrasts: tuple[str, str]) -> str:
    """The power ratio of the two activities and of the class evidence, (n, 1, h, w)."""
    settings, weights = params.fusion, np.asarray(params.channel_weights, np.float32)
    logs = []
    for kind, detail in zip(Modality, details, strict=True):
        name = f"channel_weights.{kind.name.lower()}"
        # A 1x1 convolution is the sum over channels times their weights.
        kernel = graph.constant(name, weights[kind].reshape(1, -1, 1, 1))
        activity = graph.node("Conv", graph.node("Abs", detail), kernel)
        blurred = gaussian(graph, activity, settings.place_cells, channels=1, name="place")
        logs.append(graph.node("Log", graph.node("Add", blurred, _number(graph, SILENT))))
    odds = graph.node("Mul", graph.node("Sub", *logs), _number(graph, settings.sharpness))
    if settings.evidence:
        own = np.asarray(params.evidence_weights, np.float32) * settings.evidence
        evidence = []
        for kind, contrast in zip(Modality, contrasts, strict=True):
            kernel = graph.constant(f"evidence_weights.{kind.name.lower()}", own[kind].reshape(1, -1, 1, 1))
            evidence.append(graph.node("Conv", contrast, kernel))
        odds = graph.node("Add", odds, graph.node("Sub", *evidence))
    return graph.node("Sigmoid", odds, name="ir_share")


def _sameness(graph: Graph, ir: str, vis: str) -> str:
    """Fourth power of the contrasts' correlation, 0 where it is negative or one of them is flat, (n, 1, 1, 1)."""
    product, ir_energy, vis_energy = (
        _total(graph, graph.node("Mul", a, b)) for a, b in ((ir, vis), (ir, ir), (vis, vis))
    )
    energy = graph.node("Mul", ir_energy, vis_energy)
    flat = graph.node("LessOrEqual", energy, _number(graph, FLAT))
    root = graph.node("Sqrt", graph.node("Where", flat, _number(graph, 1.0), energy))
    ratio = graph.node("Where", flat, _number(graph, 0.0), graph.node("Div", product, root))
    positive = graph.node("Relu", ratio)
    square = graph.node("Mul", positive, positive)
    return graph.node("Mul", square, square, name="sameness")


def _total(graph: Graph, x: str) -> str:
    # Axis by axis: runtimes add one number after the other, and over millions of them float32 loses digits.
    for axis in (3, 2, 1):
        x = graph.node("ReduceSum", x, graph.integers(axis))
    return x


def _once(graph: Graph, same: str, gain: float) -> str:
    """A gain that becomes 1 where the two images are the same: gain / (1 + same * (gain - 1))."""
    return graph.node("Div", _number(graph, gain), _affine(graph, same, gain - 1, 1.0))


def _affine(graph: Graph, x: str, factor: float, offset: float) -> str:
    return graph.node("Add", graph.node("Mul", x, _number(graph, factor)), _number(graph, offset))


def _number(graph: Graph, value: float) -> str:
    return graph.constant(f"number_{value:.9g}", np.float32(value))


_RULES: dict[str, Callable[[Graph, Params, str], str]] = {
    "place": _place,
    "eq5": _eq5,
    "unit_sum": _unit_sum,
    "mean": _mean,
    "add": _add,
    "max": _max,
}
