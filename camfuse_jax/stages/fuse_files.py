"""Stage `fuse`: image files in, fused images and heat maps out."""

import pathlib
from importlib import resources

from camfuse_jax import fusion
from camfuse_jax.data.folders import Pair, pair_paths
from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.images import decode_gray, read_gray, write_gray
from camfuse_jax.report.heatmaps import write_overlay

DEMO = "demo"
_ENDINGS = ("", "_ir_heat", "_vis_heat")
# `data.synthetic.synthetic_pair(6)`, kept as files because drawing it takes seconds.
_DEMO_FILES = resources.files("camfuse_jax") / "demo"


def fuse_files(
    *, ir: pathlib.Path | None, vis: pathlib.Path | None, out: pathlib.Path, weights: str, rule: str | None = None
) -> None:
    """Fuses two files, two folders or, if neither is given, the demo pair.

    Writes `NAME.png` per pair, and for single pairs `NAME_ir_heat.png` and `NAME_vis_heat.png`, where the classifier
    looked (Eq. 14). Prints what it wrote. `rule` replaces the fusion rule that the weights bring.

    Raises:
        UsageError: If only one of the two is given, or a result would overwrite a source.
        InputError: If files cannot be read or do not fit; other pairs of a folder are still fused.
    """
    if (ir is None) != (vis is None):
        raise UsageError("Only one of --ir and --vis is given.", "Give both, or neither for the demo pair.")
    params = fusion.with_rule(fusion.load_params(weights), rule)
    if ir is None or vis is None:
        images = [decode_gray((_DEMO_FILES / f"{kind}.png").read_bytes(), name=kind) for kind in ("ir", "vis")]
        for name, image in zip(("ir", "vis"), images, strict=True):
            write_gray(out / f"{DEMO}_{name}.png", image)
            print(f"{name} source: {out / f'{DEMO}_{name}.png'}")
        _fuse_one(params, DEMO, *images, out, heat=True)
        return
    pairs, failed = pair_paths(ir, vis), []
    _keep_sources(pairs, out)
    for pair in pairs:
        try:
            _fuse_one(params, pair.name, read_gray(pair.ir), read_gray(pair.vis), out, heat=len(pairs) == 1)
        except InputError as error:
            failed.append(f"{pair.name}: {error}")
    if failed:
        raise InputError(f"{len(failed)} of {len(pairs)} pairs could not be fused. " + " ".join(failed))


def _keep_sources(pairs: list[Pair], out: pathlib.Path) -> None:
    sources = {path.resolve() for pair in pairs for path in (pair.ir, pair.vis)}
    for pair in pairs:
        for target in (out / f"{pair.name}{end}.png" for end in _ENDINGS):
            if target.resolve() in sources:
                raise UsageError(f"{target} is one of the sources and would be overwritten.", "Choose another --out.")


def _fuse_one(params, name: str, ir, vis, out: pathlib.Path, *, heat: bool) -> None:
    path = out / f"{name}.png"
    fused = fusion.fuse(params, ir, vis)
    write_gray(path, fused)
    print(f"fused: {path}")
    if heat:
        seen = fusion.explain(params, ir, vis)
        for kind, image, maps in (("ir", ir, seen.ir_cam), ("vis", vis, seen.vis_cam)):
            target = out / f"{name}_{kind}_heat.png"
            write_overlay(target, image, maps[0])
            print(f"{kind} heat map: {target}")
