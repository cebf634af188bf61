"""Stage `export`: the trained network as a file that runs without this package."""

import pathlib

from camfuse_jax import export, fusion
from camfuse_jax.errors import ResourceError, UsageError

_WRITERS = {"onnx": export.to_onnx, "stablehlo": export.to_stablehlo}


def export_network(*, weights: str, to: str | None, out: pathlib.Path | None) -> None:
    """Writes weights as ONNX or StableHLO, after running what it writes and comparing it with `fuse`.

    Raises:
        UsageError: If a needed option is absent, `to` is no export format, or a needed package is not installed.
        CamfuseError: If the exported network gives something else than `fuse`.
        ResourceError: If the file cannot be written.
    """
    if to not in _WRITERS:
        raise UsageError(f"Stage export cannot write --to {to}.", "Give --to onnx or --to stablehlo.")
    if out is None:
        raise UsageError("Stage export needs --out.", f"Give a file name, as --out camfuse.{to}.")
    params = fusion.load_params(weights)
    content = _WRITERS[to](params)
    worst = export.check(to, content, params)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = out.with_name(out.name + ".tmp")
        temporary.write_bytes(content)
        temporary.replace(out)
    except OSError as error:
        raise ResourceError(f"{to} cannot be written to {out}: {error}.") from error
    told = f"largest difference from fuse {worst:.1e} over {len(export.SIZES)} sizes (allowed {export.TOLERANCE:.0e})"
    print(f"{to}: {out}, {len(content) / 1e6:.1f} MB, {told}")
