"""Weights from camfuse_jax to PyTorch names and layouts and back, keeping every bit. Needs NumPy only.

| camfuse_jax | PyTorch |
|---|---|
| `encoder/conv1/conv/kernel` (3, 3, in, out) | `encoder.conv1.weight` (out, in, 3, 3) |
| `decoder/conv3/phase/bias` (2, 2, c) | `decoder.phase3.bias` (c, 2, 2) |
| `classifier/depthwise1/kernel` (branches, 3, 3, k) | `classifier.depthwise1.branches.0.weight` (k, 1, 3, 3), ... |
| `classifier/head/kernel` (k, 2) | `classifier.head.weight` (2, k) |
"""

import json
import pathlib
import re
import tempfile
from collections.abc import Mapping

import numpy as np
import safetensors
import safetensors.numpy

from camfuse_jax.errors import CamfuseError, CheckpointError, ResourceError, UsageError
from camfuse_jax.fusion.params import load_params, save_params
from camfuse_jax.system.files import array_digest

Arrays = Mapping[str, np.ndarray]
_ENTRY, _CHECKSUM = "camfuse_jax", "sha256"
_CONV = re.compile(r"(?:en|de)coder/conv\d*(?:/conv)?/(kernel|bias)")
_DEPTHWISE = re.compile(r"classifier/depthwise\d+/(kernel|bias)")
_BRANCH = re.compile(r"(classifier\.depthwise\d+)\.branches\.(\d+)\.(weight|bias)")
_PHASE = re.compile(r"decoder/conv(\d+)/phase/bias")


def to_torch(arrays: Arrays) -> dict[str, np.ndarray]:
    """Gives arrays (weights or gradients) of camfuse_jax the names and layouts of `torch_reference.networks`.

    Raises:
        CheckpointError: If a name is of no known layer.
    """
    out: dict[str, np.ndarray] = {}
    for name, value in arrays.items():
        # "conv1/conv" is one layer in PyTorch; the shallow networks' "conv" stands alone.
        dotted = re.sub(r"(/conv\d+)/conv/", r"\1/", name).replace("/", ".").replace(".kernel", ".weight")
        if name == "classifier/head/kernel":
            out[dotted] = value.T
        elif phase := _PHASE.fullmatch(name):
            out[f"decoder.phase{phase[1]}.bias"] = value.transpose(2, 0, 1)
        elif _DEPTHWISE.fullmatch(name):
            layer, kind = dotted.rsplit(".", 1)
            for i, branch in enumerate(value):
                laid = branch.transpose(2, 0, 1)[:, None] if kind == "weight" else branch
                out[f"{layer}.branches.{i}.{kind}"] = laid
        elif conv := _CONV.fullmatch(name):
            out[dotted] = value.transpose(3, 2, 0, 1) if conv[1] == "kernel" else value
        else:
            raise CheckpointError(f"{name} is of no layer that PyTorch has here.")
    return {name: np.ascontiguousarray(value) for name, value in out.items()}


def to_jax(arrays: Arrays) -> dict[str, np.ndarray]:
    """The inverse of `to_torch`.

    Raises:
        CheckpointError: If a name is of no known layer.
    """
    out: dict[str, np.ndarray] = {}
    branches: dict[str, dict[int, np.ndarray]] = {}
    for name, value in arrays.items():
        slashed = name.replace(".", "/").replace("/weight", "/kernel")
        if name == "classifier.head.weight":
            out[slashed] = value.T
        elif phase := re.fullmatch(r"decoder\.phase(\d+)\.bias", name):
            out[f"decoder/conv{phase[1]}/phase/bias"] = value.transpose(1, 2, 0)
        elif branch := _BRANCH.fullmatch(name):
            kind = {"weight": "kernel", "bias": "bias"}[branch[3]]
            laid = value[:, 0].transpose(1, 2, 0) if kind == "kernel" else value
            branches.setdefault(f"{branch[1].replace('.', '/')}/{kind}", {})[int(branch[2])] = laid
        elif conv := re.fullmatch(r"((?:en|de)coder)\.(conv\d*)\.(weight|bias)", name):
            alone = conv[2] == "conv" or (conv[1], conv[2]) == ("decoder", "conv5")  # not inside a layer of ours
            inner = conv[2] if alone else f"{conv[2]}/conv"
            kernel = conv[3] == "weight"
            out[f"{conv[1]}/{inner}/{'kernel' if kernel else 'bias'}"] = (
                value.transpose(2, 3, 1, 0) if kernel else value
            )
        else:
            raise CheckpointError(
                f"{name} is of no layer that camfuse_jax has.", "Give a file that --stage convert --to torch wrote."
            )
    out |= {name: np.stack([parts[i] for i in sorted(parts)]) for name, parts in branches.items()}
    return {name: np.ascontiguousarray(value) for name, value in out.items()}


def convert(*, weights: str, to: str | None, out: pathlib.Path | None) -> None:
    """Writes weights of one side as a safetensors file of the other; what the header says travels along.

    Args:
        weights: For `to="torch"` what `load_params` takes, for `to="jax"` a file that `to="torch"` wrote, or one with
            the same names, layouts and header; a header without `sha256` is taken for weights changed since.
        to: `torch` or `jax`.
        out: The file to write.

    Raises:
        UsageError: If `to` is neither or `out` is not given.
        CheckpointError: If the weights are absent or do not fit.
        ResourceError: If the file cannot be written.
    """
    if to not in ("torch", "jax"):
        raise UsageError(f"Stage convert cannot write --to {to}.", "Give --to torch or --to jax.")
    if out is None:
        raise UsageError("Stage convert needs --out.", f"Give a file name, as --out {to}.safetensors.")
    with tempfile.TemporaryDirectory() as folder:
        between = pathlib.Path(folder) / "jax.safetensors"
        if to == "torch":
            save_params(between, load_params(weights))
            arrays, header = read(between)
            _write(out, to_torch(arrays), header)
        else:
            # Through the package's own reader, which checks names, shapes and values against the header's network.
            arrays, header = read(pathlib.Path(weights))
            arrays = to_jax(arrays)
            _write(between, arrays, _with_checksum(header, arrays))
            try:
                params = load_params(between)
            except CamfuseError as error:
                told = str(error).replace(str(between), "It")
                raise CheckpointError(f"{weights} cannot be converted. {told}") from error
            save_params(out, params)
    print(f"{to}: {out}")


def read(path: pathlib.Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Reads a safetensors file: arrays and the texts of its header.

    Raises:
        CheckpointError: If it is absent or damaged.
    """
    if not path.is_file():
        raise CheckpointError(f"There are no weights at {path}.", "Give a .safetensors file.")
    content = path.read_bytes()
    try:
        arrays = safetensors.numpy.load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    except (safetensors.SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path} is not a safetensors file: {error}.") from error
    return arrays, header.get("__metadata__", {})


def _with_checksum(header: dict[str, str], arrays: Arrays) -> dict[str, str]:
    """The header with a digest of the arrays, where it has none: who trains in PyTorch cannot know it."""
    try:
        described = json.loads(header.get(_ENTRY, ""))
    except ValueError:
        return header  # the package's reader says what is wrong with it
    if isinstance(described, dict) and _CHECKSUM not in described:
        described[_CHECKSUM] = array_digest(arrays, json.dumps(described))
    return {_ENTRY: json.dumps(described)}


def _write(path: pathlib.Path, arrays: Arrays, header: dict[str, str]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(path.name + ".tmp")
        temporary.write_bytes(safetensors.numpy.save(dict(arrays), header))
        temporary.replace(path)
    except OSError as error:
        raise ResourceError(f"The weights cannot be written to {path}: {error}.") from error
