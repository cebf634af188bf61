"""Rule `spatial` as ONNX nodes: `fusion.spatial` and `fusion.statistics` in NCHW, for images that are valid everywhere.

Infrared images first, then the visible ones, as there. Noise is always taken out: times a strength that may be 0.
"""

import math
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from camfuse_jax.errors import UsageError
from camfuse_jax.fusion import statistics
from camfuse_jax.fusion.forward import encoder_answers
from camfuse_jax.fusion.params import Params
from camfuse_jax.fusion.spatial import BAND_SHARES, BRIGHT, MOST_ODDS, NOISE_SHARE, SILENT, WARM_RIM, WARM_SLOPE
from camfuse_jax.fusion.statistics import CELL, LEVEL, Probe, gaussian_weights

OPSET = 17
_IR_VERSION = 8  # of the ONNX release that brought opset 17, so that runtimes of that age read the file


class Graph:
    """Nodes and constants in the order they were added; every method returns the name of the tensor it made."""

    def __init__(self) -> None:
        try:
            import onnx
        except ImportError as error:
            raise UsageError("ONNX export needs the package onnx.", "Run `pip install '.[export]'`.") from error
        self._onnx: Any = onnx
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}

    def constant(self, name: str, value: Any) -> str:
        """Adds a constant; the same name may be given again with the same value."""
        self._constants[name] = self._onnx.numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def integers(self, *values: int) -> str:
        """Adds a vector of int64."""
        return self.constant("i_" + "_".join(map(str, values)), np.array(values, np.int64))

    def node(self, op: str, *inputs: Any, name: str | None = None, **attributes: Any) -> str:
        """Adds a node with one output; inputs are names, or float32 values that become constants."""
        name = name or f"{op.lower()}_{len(self._nodes)}"
        names = [self._named(value, f"{name}.{i}") for i, value in enumerate(inputs)]
        self._nodes.append(self._onnx.helper.make_node(op, names, [name], name=name, **attributes))
        return name

    def halves(self, x: str) -> tuple[str, str]:
        """Splits the first axis into two equal parts, infrared and visible."""
        names = [f"{x}.ir", f"{x}.vis"]
        if names[0] not in (node.output[0] for node in self._nodes):
            self._nodes.append(self._onnx.helper.make_node("Split", [x], names, name=f"{x}.halves", axis=0))
        return names[0], names[1]

    def model(self, *, inputs: dict[str, list[Any]], outputs: dict[str, list[Any]], notes: dict[str, str]) -> Any:
        """Closes the graph.

        Args:
            inputs: Shapes of the float32 inputs by name; a text is a free length.
            outputs: The same for the outputs.
            notes: Texts that travel with the model.
        """
        helper, kind = self._onnx.helper, self._onnx.TensorProto.FLOAT
        ends = [
            [helper.make_tensor_value_info(name, kind, shape) for name, shape in side.items()]
            for side in (inputs, outputs)
        ]
        graph = helper.make_graph(self._nodes, "camfuse", *ends, initializer=list(self._constants.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION)
        helper.set_model_props(model, notes)
        self._onnx.checker.check_model(model, full_check=True)
        return model

    def _named(self, value: Any, name: str) -> str:
        if isinstance(value, str):
            return value
        array = np.asarray(value, np.float32)
        return self.constant(f"number_{array:.9g}" if array.ndim == 0 else name, array)


def height_width_node(graph: Graph, x: str) -> str:
    """Height and width, a vector of two."""
    return graph.node("Slice", graph.node("Shape", x), graph.integers(2), graph.integers(4))


def pad_edge_node(graph: Graph, x: str, pixels: int) -> str:
    """Repeats the outermost pixel of height and width."""
    return graph.node("Pad", x, graph.integers(0, 0, pixels, pixels, 0, 0, pixels, pixels), mode="edge")


def filled_node(graph: Graph, x: str, side: int, mode: str = "edge") -> str:
    """Continues maps to the right and below until height and width are multiples of `side`."""
    missing = graph.node("Mod", graph.node("Neg", height_width_node(graph, x)), graph.integers(side))
    return graph.node("Pad", x, graph.node("Concat", graph.integers(*[0] * 6), missing, axis=0), mode=mode)


def cropped(graph: Graph, x: str, like: str, *, margin: int = 0) -> str:
    """Cuts height and width of `like` out of maps, starting `margin` pixels from the top left."""
    starts = graph.integers(margin, margin)
    ends = graph.node("Add", height_width_node(graph, like), starts)
    return graph.node("Slice", x, starts, ends, graph.integers(2, 3))


def pooled_node(graph: Graph, x: str, side: int, how: str = "Average") -> str:
    """`statistics.pooled` by AveragePool or MaxPool."""
    return graph.node(f"{how}Pool", filled_node(graph, x, side), kernel_shape=[side] * 2, strides=[side] * 2)


def enlarged_node(graph: Graph, x: str, side: int, like: str) -> str:
    """`statistics.enlarged` to height and width of `like`."""
    how = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    return cropped(graph, graph.node("Resize", x, "", np.array([1, 1, side, side]), **how), like)


def blurred_node(graph: Graph, x: str, sigma: float) -> str:
    """`statistics.blurred` of one channel."""
    taps = gaussian_weights(sigma).astype(np.float32)
    x = pad_edge_node(graph, x, len(taps) // 2)
    for shape in ((1, 1, -1, 1), (1, 1, 1, -1)):
        x = graph.node("Conv", x, graph.constant(f"gauss_{sigma:.9g}_{shape.index(-1)}", taps.reshape(shape)))
    return x


class _Known(NamedTuple):
    """Tensors of `fusion.statistics.Statistics`, shape (m, 1, 1, 1) or (n, 1, 1, 1)."""

    mean: str
    noise: str
    same: str


def spatial_rule(graph: Graph, params: Params, both: str, features: str) -> None:
    """Adds the rule; its last node is `fused`.

    Args:
        graph: Where to add it; it has inputs `ir` and `vis`.
        params: Weights, with their balance and look.
        both: The images in [0, 1], (2 n, 1, h, w).
        features: Their features, with the margin around.
    """
    config, look, node = params.fusion.spatial, float(params.current_look), graph.node
    ir_part, vis_part = (float(part) for part in params.balance)
    answers = Probe(*(np.asarray(leaf, np.float32) for leaf in jax.jit(encoder_answers)(params)))

    def at(ends: tuple[float, float]) -> float:
        return ends[0] + look * (ends[1] - ends[0])

    def up(x: str) -> str:
        return enlarged_node(graph, x, CELL, "ir")

    def unless_same(gain: float) -> str:
        return node("Add", gain, node("Mul", known.same, 1 - gain))

    def beyond(x: str, low: str, high: str) -> str:
        return node("Sub", node("Relu", node("Sub", x, high)), node("Relu", node("Sub", low, x)))

    cells = pooled_node(graph, both, CELL)
    bases = blurred_node(graph, cells, config.base_sigma / CELL)
    known = _statistics(graph, both, cells)
    features = cropped(graph, features, cells, margin=params.net.margin // CELL)
    odds = _log_odds(graph, params, features, bases, known, answers)
    odds = node("Add", odds, 2 * (math.log(ir_part + 1e-6) - math.log(vis_part + 1e-6)))
    warm = _warmth(graph, config, graph.halves(cells)[0])
    rim = node("Mul", up(blurred_node(graph, pooled_node(graph, warm, CELL), WARM_RIM)), 2.0)
    near_warm = node("Max", warm, node("Clip", rim, 0.0, 1.0))
    share = node("Sigmoid", node("Add", up(odds), node("Mul", near_warm, config.saliency)))

    (ir, vis), (ir_mean, vis_mean) = graph.halves(bases), graph.halves(known.mean)
    mean = node("Add", node("Mul", ir_mean, ir_part), node("Mul", vis_mean, vis_part))
    mean = _mix(graph, mean, vis_mean, min(2 * vis_part * at(config.visible_mean), 1.0))
    contrast = [
        node("Mul", node("Sub", x, m), part) for x, m, part in ((ir, ir_mean, ir_part), (vis, vis_mean, vis_part))
    ]
    gain = unless_same(1 + (at(config.base_gain) - 1) * 4 * ir_part * vis_part)
    mixed = node("Add", mean, node("Mul", node("Add", *contrast), gain))
    outside = beyond(mixed, node("Min", ir, vis), node("Max", ir, vis))
    bound = node("Mul", node("Sub", 1.0, known.same), config.base_bound)
    mixed = node("Sub", mixed, node("Mul", outside, bound))
    bright = node("Clip", node("Div", node("Sub", vis, BRIGHT), 0.2), 0.0, 1.0)
    cold = node("Clip", node("Add", node("Div", node("Sub", ir_mean, ir), 0.1), 0.5), 0.0, 1.0)
    tone, bright_tone = (2 * vis_part * at(share) for share in (config.visible_tone, config.bright_tone))
    tone = node("Add", node("Mul", node("Mul", bright, cold), bright_tone - tone), tone)
    base = up(_mix(graph, mixed, vis, node("Clip", tone, 0.0, 1.0)))
    full_bases = up(bases)
    lift = node("Relu", node("Sub", graph.halves(full_bases)[0], base))
    base = node("Add", base, node("Mul", node("Mul", warm, lift), at(config.warm_base) * min(2 * ir_part, 1.0)))

    detail = _denoised(graph, node("Sub", both, full_bases), both, config.denoise, known.noise)
    ir_detail, vis_detail = graph.halves(detail)
    detail = node("Add", vis_detail, node("Mul", share, node("Sub", ir_detail, vis_detail)))
    fused = node("Add", base, node("Mul", detail, unless_same(at(config.detail_gain))))

    lowest, highest = node("Min", "ir", "vis"), node("Max", "ir", "vis")
    ends = pooled_node(graph, node("Concat", node("Neg", lowest), highest, axis=0), CELL, "Max")
    ends = up(node("MaxPool", ends, kernel_shape=[3, 3], pads=[1, 1, 1, 1]))
    low, high = graph.halves(ends)
    fused = node("Sub", fused, node("Mul", beyond(fused, node("Neg", low), high), at(config.bound)))
    knee = config.knee * LEVEL
    fused = node("Sub", 1.0, _knee(graph, fused, highest, knee))
    node("Sub", 1.0, _knee(graph, fused, node("Sub", 1.0, lowest), knee), name="fused")


def _mix(graph: Graph, x: str, other: str, share: str | float) -> str:
    return graph.node("Add", x, graph.node("Mul", graph.node("Sub", other, x), share))


def _statistics(graph: Graph, both: str, cells: str) -> _Known:
    node = graph.node
    ones = node("Sub", node("Add", "ir", 1.0), "ir")
    weight = _sums(graph, ones)
    ir, vis = (node("Sub", x, 0.5) for x in ("ir", "vis"))
    products = (ir, vis), (node("Mul", ir, ir), node("Mul", vis, vis), node("Mul", ir, vis))
    (a, b), (aa, bb, ab) = ([node("Div", _sums(graph, x), weight) for x in group] for group in products)

    def energy(square: str, mean: str) -> str:
        return node("Relu", node("Sub", square, node("Mul", mean, mean)))

    both_energies = node("Mul", energy(aa, a), energy(bb, b))
    product = node("Sub", ab, node("Mul", a, b))
    flat = node("LessOrEqual", both_energies, statistics.FLAT)
    correlation = node("Div", product, node("Sqrt", node("Where", flat, 1.0, both_energies)))
    same = node("Pow", node("Relu", node("Where", flat, 0.0, correlation)), 4.0)
    mean = node("Add", node("Concat", a, b, axis=0), 0.5)
    return _Known(mean, _noise(graph, both, cells, ones), same)


def _sums(graph: Graph, x: str) -> str:
    """Over pixels, by cells first: sums of few numbers lose less."""
    cells = graph.node(
        "AveragePool", filled_node(graph, x, CELL, "constant"), kernel_shape=[CELL] * 2, strides=[CELL] * 2
    )
    return graph.node("ReduceSum", cells, graph.integers(2, 3))


def _noise(graph: Graph, both: str, cells: str, ones: str) -> str:
    """Counts of cells below each level, and their quantile."""
    node, steps = graph.node, np.diff(np.array(statistics.NOISE_LEVELS, np.float32), prepend=0)
    second = np.array([1, -2, 1], np.float32)
    padded = pad_edge_node(graph, filled_node(graph, both, CELL), 1)
    response = node("Abs", node("Conv", padded, np.outer(second, second).reshape(1, 1, 3, 3)))
    noise = node("Mul", blurred_node(graph, pooled_node(graph, response, CELL), 0.7), statistics.LAPLACIAN_TO_SIGMA)
    whole = pooled_node(graph, filled_node(graph, ones, CELL, "constant"), CELL)
    whole = node("Greater", node("Concat", whole, whole, axis=0), 0.99)
    usable = node("And", node("Greater", cells, 2 * LEVEL), node("Less", cells, 253 * LEVEL))
    usable = node("Cast", node("And", usable, whole), to=1)
    below = node("Less", noise, np.reshape(statistics.NOISE_LEVELS, (1, -1, 1, 1)))
    counts = node("ReduceSum", node("Mul", node("Cast", below, to=1), usable), graph.integers(2, 3))
    last = node("Slice", counts, graph.integers(len(steps) - 1), graph.integers(len(steps)), graph.integers(1))
    wanted = node("Mul", last, statistics.NOISE_QUANTILE)
    before = node("Slice", counts, graph.integers(0), graph.integers(len(steps) - 1), graph.integers(1))
    before = node("Concat", node("Mul", last, 0.0), before, axis=1)
    part = node("Div", node("Sub", wanted, before), node("Max", node("Sub", counts, before), 1e-6))
    part = node("Mul", node("Clip", part, 0.0, 1.0), steps.reshape(1, -1, 1, 1))
    return node("Mul", node("ReduceSum", part, graph.integers(1)), statistics.QUANTILE_TO_SIGMA)


def _flat(graph: Graph, answers: Probe, level: str) -> str:
    """Features of flat images (`Probe.flat`)."""
    node, bright = graph.node, graph.node("Sub", graph.node("Mul", level, 2.0), 1.0)
    white, black = (leaf.reshape(1, -1, 1, 1) for leaf in (answers.white, answers.black))
    return node("Add", node("Mul", node("Relu", bright), white), node("Mul", node("Relu", node("Neg", bright)), black))


def _log_odds(graph: Graph, params: Params, features: str, bases: str, known: _Known, answers: Probe) -> str:
    node, config = graph.node, params.fusion.spatial
    channel_weights, class_weights = np.asarray(params.channel_weights), np.asarray(params.encoder_class_weights)
    change = node("Sub", features, _flat(graph, answers, bases))
    noise = node("Mul", known.noise, answers.noise.reshape(1, -1, 1, 1))
    energy, of_noise = (_channel_sums(graph, node("Mul", x, x), channel_weights**2) for x in (change, noise))
    silent = SILENT**2 * np.sum(np.mean(channel_weights, axis=0) ** 2 * answers.noise**2)
    sigma = config.activity_sigma / CELL / math.sqrt(2)
    levels = []
    for activity, share in zip(energy, of_noise, strict=True):
        activity = blurred_node(graph, blurred_node(graph, activity, sigma), sigma)
        activity = node("Relu", node("Sub", activity, node("Mul", share, NOISE_SHARE * config.denoise)))
        levels.append(node("Log", node("Add", activity, silent)))
    lifted = node("Sub", features, _flat(graph, answers, known.mean))
    score = blurred_node(graph, node("Sub", *_channel_sums(graph, lifted, class_weights)), config.base_sigma / CELL)
    odds = node("Mul", node("Sub", *levels), 0.5 * config.sharpness)
    odds = node("Add", odds, node("Mul", score, config.class_score))
    return node("Mul", node("Tanh", node("Div", odds, MOST_ODDS)), MOST_ODDS)


def _channel_sums(graph: Graph, maps: str, weights: Float[np.ndarray, "2 k"]) -> list[str]:
    return [
        graph.node("Conv", half, row.reshape(1, -1, 1, 1))
        for half, row in zip(graph.halves(maps), weights, strict=True)
    ]


def _warmth(graph: Graph, config: Any, ir_cells: str) -> str:
    node, margin = graph.node, config.warm_levels * LEVEL
    coarse = pooled_node(graph, ir_cells, 2)
    around = blurred_node(graph, coarse, 2.5)
    for reach in (1.0, 0.5, 0.5):
        near = node("Clip", node("Sub", coarse, around), -reach * margin, 0.5 * reach * margin)
        around = blurred_node(graph, node("Add", around, near), 2.5)
    around = enlarged_node(graph, enlarged_node(graph, around, 2, ir_cells), CELL, "ir")
    above = node("Sub", node("Sub", blurred_node(graph, "ir", 1.0), around), margin)
    return node("Sigmoid", node("Div", above, WARM_SLOPE))


def _denoised(graph: Graph, detail: str, both: str, strength: float, noise: str) -> str:
    node = graph.node
    if not strength:
        return detail
    shares = node("Clip", node("Sub", node("Mul", noise, 0.5 / LEVEL), 1.0), 0.0, 1.0)
    shares = node("Mul", shares, strength)
    blurs = [both, *(blurred_node(graph, both, sigma) for sigma in (1.0, 2.0, 4.0))]
    for fine, coarse, part in zip(blurs[:-1], blurs[1:], BAND_SHARES, strict=True):
        band = node("Sub", fine, coarse)
        energy = blurred_node(graph, pooled_node(graph, node("Mul", band, band), CELL), 1.0)
        energy = node("Add", enlarged_node(graph, energy, CELL, "ir"), 1e-9)
        known = node("Mul", node("Mul", noise, noise), 1.5 * part**2)
        lost = node("Sub", 1.0, node("Div", node("Relu", node("Sub", energy, known)), energy))
        detail = node("Sub", detail, node("Mul", node("Mul", lost, band), shares))
    return detail


def _knee(graph: Graph, x: str, highest: str, width: float) -> str:
    node = graph.node
    start = node("Clip", node("Max", highest, 1 - width), 0.0, 1 - 1e-4)
    over, room = node("Relu", node("Sub", x, start)), node("Sub", 1.0, start)
    bent = node("Div", node("Mul", over, room), node("Add", over, room))
    return node("Add", node("Min", x, start), bent)
