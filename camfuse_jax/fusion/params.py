"""The weights a fusion needs, as one pytree; the file they travel in; and the balance between the two images."""

import dataclasses
import hashlib
import json
import math
import pathlib
from collections.abc import Mapping
from importlib import resources
from typing import Any

import flax.struct
import flax.traverse_util
import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy
from jaxtyping import Array, Float

from camfuse_jax import cam
from camfuse_jax.config import LOOKS, RULE_NAMES, FusionConfig, Modality, NamedRule, NetConfig, from_json, to_json
from camfuse_jax.errors import CheckpointError, ResourceError, UsageError
from camfuse_jax.nets.build import abstract_params
from camfuse_jax.system.files import array_digest, mismatch, write_atomically

MAX_GAIN = 100.0


def balanced(params: "Params", *, ir_gain: float = 1.0, vis_gain: float = 1.0) -> "Params":
    """Weights that favor one of the two images.

    Only the ratio of the gains matters: 2 and 1 do what 1 and 0.5 do, and the result stays as bright as it was.

    Args:
        params: Weights from `load_params`.
        ir_gain: Factor on the infrared channel weights, 0 to 100.
        vis_gain: Factor on the visible channel weights, 0 to 100.

    Raises:
        UsageError: A gain is negative, above 100 or not a number, or both are 0.
    """
    check_gains({"ir_gain": ir_gain, "vis_gain": vis_gain})
    return dataclasses.replace(params, ir_gain=float(ir_gain), vis_gain=float(vis_gain))


def check_gains(gains: Mapping[str, float]) -> None:
    """Refuses gains by their names, as `balanced` does; of options, these are the options' names."""
    for name, gain in gains.items():
        if not (math.isfinite(gain) and 0 <= gain <= MAX_GAIN):
            raise UsageError(f"{name} is {gain:g}.", f"Give a number from 0 to {MAX_GAIN:g}.")
    if not any(gains.values()):
        raise UsageError(f"{' and '.join(gains)} are both 0.", "Leave one above 0.")


def check_balance(params: "Params", option: str) -> None:
    """Refuses an option that shifts the balance where the rule has no channel weights that gains could change."""
    if params.fusion.rule not in _BALANCED:
        what = f"Rule {params.fusion.rule} has no balance, so {option} would change nothing."
        raise UsageError(what, f"Leave it out, or use --rule {', '.join(_BALANCED[:-1])} or {_BALANCED[-1]}.")


def rebalance(
    weights: Float[Array, "2 k"], ir_gain: float | Float[Array, ""], vis_gain: float | Float[Array, ""]
) -> Float[Array, "2 k"]:
    """Multiplies each image's channel weights by its gain and scales each channel back to its old sum.

    Without scaling back, a gain would change the brightness of the result as well as the balance. Equal gains give
    the weights unchanged.

    Args:
        weights: What_c of Eq. 3, rows ordered as `Modality`.
        ir_gain: Factor for the infrared row.
        vis_gain: Factor for the visible row.
    """
    gains = jnp.stack([jnp.asarray(ir_gain, weights.dtype), jnp.asarray(vis_gain, weights.dtype)])
    gained = weights * gains[jnp.asarray([Modality.IR, Modality.VIS]), None]
    return gained * (weights.sum(axis=0, keepdims=True) / gained.sum(axis=0, keepdims=True))


SHIPPED = ("fast", "tno", "roadscene", "paper-tno", "paper-roadscene")
_UNREADABLE = (ValueError, TypeError, RecursionError, UsageError)
_ENTRY, _CHECKSUM = "camfuse_jax", "sha256"
_DESCRIBED = {"net": NetConfig, "fusion": FusionConfig}
_PARTS = ("encoder", "decoder", "classifier")
_BALANCED = ("spatial", "eq5", "unit_sum")  # the others have no weights, or take them from the images alone


@flax.struct.dataclass
class Params:
    """Weights of the three networks; the network's shape and the fusion rule are static, the rest are leaves.

    Attributes:
        encoder: Parameters of `nets.Encoder`.
        decoder: Parameters of `nets.Decoder`.
        classifier: Parameters of `nets.Classifier`.
        net: Shape of the networks.
        fusion: Fusion rule.
        ir_gain: Balance of the infrared channel weights (`balanced`); not part of a file.
        vis_gain: The same for the visible ones.
        look: Of rule spatial (`with_look`), from 0 (natural) to 1 (contrast); None for the one of `fusion`.
    """

    encoder: Mapping[str, Any]
    decoder: Mapping[str, Any]
    classifier: Mapping[str, Any]
    net: NetConfig = flax.struct.field(pytree_node=False, default=NetConfig())
    fusion: FusionConfig = flax.struct.field(pytree_node=False, default=FusionConfig())
    ir_gain: float = 1.0
    vis_gain: float = 1.0
    look: float | None = None

    def __repr__(self) -> str:
        """Says which network and rule, and how many weights, instead of printing them."""
        count = sum(np.size(leaf) for leaf in jax.tree.leaves((self.encoder, self.decoder, self.classifier)))
        return (
            f"Params({self.net.kind} network, {count:,} weights, rule {self.fusion.rule}, "
            f"ir_gain={self.ir_gain}, vis_gain={self.vis_gain}, look={self.current_look})"
        )

    @property
    def class_weights(self) -> jax.Array:
        """W_c of Eq. 1, shape (2, k), rows ordered as `Modality`."""
        return cam.class_weights(self.classifier)

    @property
    def channel_weights(self) -> jax.Array:
        """What_c of Eq. 3, shape (2, k), in (0, 1); shifted between the two images where gains are set (`balanced`)."""
        return rebalance(cam.channel_weights(self.class_weights), self.ir_gain, self.vis_gain)

    @property
    def encoder_class_weights(self) -> jax.Array:
        """W_c of Eq. 1 for the encoder's own channels (`cam.channel_gains`), shape (2, k)."""
        return self.class_weights * cam.channel_gains(self.classifier)[None]

    @property
    def current_look(self) -> float:
        """The look that the result will have."""
        return self.fusion.spatial.look if self.look is None else self.look

    def with_number(self) -> "Params":
        """The same with `look` as a number, so that one compiled program serves every look."""
        return dataclasses.replace(self, look=self.current_look)

    @property
    def balance(self) -> tuple[jax.Array, jax.Array]:
        """Shares of the two images that follow from the gains; they sum to 1."""
        ir_gain, vis_gain = jnp.float32(self.ir_gain), jnp.float32(self.vis_gain)
        return ir_gain / (ir_gain + vis_gain), vis_gain / (ir_gain + vis_gain)


jax.export.register_pytree_node_serialization(
    Params,
    serialized_name="camfuse_jax.Params",
    serialize_auxdata=lambda static: json.dumps([to_json(config) for config in static]).encode(),
    deserialize_auxdata=lambda text: tuple(
        from_json(kind, config) for kind, config in zip(_DESCRIBED.values(), json.loads(bytes(text)), strict=True)
    ),
)


def save_params(path: str | pathlib.Path, params: Params) -> None:
    """Writes weights, network shape and fusion rule as one safetensors file. Same weights, same bytes.

    Raises:
        ResourceError: If the file cannot be written.
    """
    path = pathlib.Path(path)
    tree = {part: getattr(params, part) for part in _PARTS}
    arrays: Any = flax.traverse_util.flatten_dict(jax.tree.map(np.asarray, tree), sep="/")
    if params.look is not None:
        params = with_rule(params, None, {"spatial.look": float(params.look)})
    described = {name: dataclasses.asdict(getattr(params, name)) for name in _DESCRIBED}
    # One entry: safetensors writes several in another order each time.
    header = {_ENTRY: json.dumps({**described, _CHECKSUM: array_digest(arrays, json.dumps(described))})}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, safetensors.numpy.save(arrays, header))
    except OSError as error:
        raise ResourceError(f"The weights cannot be written to {path}: {error}.") from error


def load_params(name_or_path: str | pathlib.Path = "fast") -> Params:
    """Loads weights.

    `"fast"`, `"tno"`, `"roadscene"`, `"paper-tno"` and `"paper-roadscene"` come with the package, anything else is a
    safetensors file. `"paper-..."` are the paper's network and rule and nothing else, for comparisons.
    Nothing is fetched and no code is executed. Shipped weights are checked against their recorded sha256.

    Raises:
        CheckpointError: If the file is absent, damaged, or does not hold these networks.
    """
    if str(name_or_path) in SHIPPED:
        # Their sha256 is the card's: what else there is to check was checked when they were shipped.
        return _parse(_shipped_bytes(str(name_or_path)), where=f"shipped weights '{name_or_path}'", known=True)
    path = pathlib.Path(name_or_path)
    if not path.is_file():
        raise CheckpointError(
            f"There are no weights at {path}.", f"Give a .safetensors file, or one of {', '.join(SHIPPED)}."
        )
    return _parse(path.read_bytes(), where=str(path))


def with_rule(params: Params, rule: NamedRule | None, settings: Mapping[str, Any] | None = None) -> Params:
    """The same weights under another fusion rule, and with other settings by dotted names; None keeps theirs."""
    if settings:
        look = None if "spatial.look" in settings else params.look
        params = dataclasses.replace(params, fusion=_with_fields(params.fusion, settings), look=look)
    if rule is None:
        return params
    return dataclasses.replace(params, fusion=dataclasses.replace(params.fusion, rule=RULE_NAMES.get(rule, rule)))


def _with_fields(config: Any, fields: Mapping[str, Any]) -> Any:
    """A configuration with some fields replaced, by dotted names."""
    for name, value in fields.items():
        first, _, rest = name.partition(".")
        inner = _with_fields(getattr(config, first), {rest: value}) if rest else value
        config = dataclasses.replace(config, **{first: inner})
    return config


def with_look(params: Params, look: float | str | None) -> Params:
    """The same weights with another look of rule `spatial`, from 0 (natural) to 1 (contrast); None keeps theirs.

    Args:
        params: Weights.
        look: The number, or one of the words natural and contrast.

    Raises:
        UsageError: It is neither.
    """
    if look is None:
        return params
    number = LOOKS.get(look) if isinstance(look, str) else look
    if number is None or not (math.isfinite(number) and 0 <= number <= 1):
        what = "Give natural, contrast, or a number from 0 (natural) to 1 (contrast)."
        raise UsageError(f"look is {look!r}.", what)
    return dataclasses.replace(params, look=float(number))


def card(name: str) -> dict[str, Any]:
    """The card of shipped weights: recipe, data, seed, commit, sha256 and scores."""
    return json.loads((resources.files("camfuse_jax") / "weights" / "cards.json").read_text())[name]


def _shipped_bytes(name: str) -> bytes:
    content = (resources.files("camfuse_jax") / "weights" / f"{name}.safetensors").read_bytes()
    if hashlib.sha256(content).hexdigest() != card(name)["sha256"]:
        raise CheckpointError(f"The shipped weights '{name}' are damaged.", "Install the package again.")
    return content


def _parse(content: bytes, *, where: str, known: bool = False) -> Params:
    try:
        arrays = safetensors.numpy.load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        described = json.loads(header["__metadata__"][_ENTRY])
        recorded = described.pop(_CHECKSUM)
        net, rule = (from_json(kind, json.dumps(described[name])) for name, kind in _DESCRIBED.items())
    except (safetensors.SafetensorError, LookupError, AttributeError, *_UNREADABLE) as error:
        raise CheckpointError(f"{where} is not a weights file of camfuse_jax: {error}.") from error
    if not known:  # tracing the networks for their shapes takes a third of a second
        _check(arrays, net, where=where)
    if recorded != array_digest(arrays, json.dumps(described)):
        raise CheckpointError(f"{where} is damaged: the weights do not give the sha256 they were written with.")
    tree = flax.traverse_util.unflatten_dict(arrays, sep="/")
    return Params(**{part: tree[part] for part in _PARTS}, net=net, fusion=rule)


def _check(arrays: Mapping[str, np.ndarray], net: NetConfig, *, where: str) -> None:
    """Compares arrays with those of the network they claim to be."""
    wanted = flax.traverse_util.flatten_dict(abstract_params(net), sep="/")
    difference = mismatch(wanted, arrays)
    if difference:
        raise CheckpointError(f"{where} does not fit the network it names ({difference}).")
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise CheckpointError(f"{where} holds values that are not finite.")
