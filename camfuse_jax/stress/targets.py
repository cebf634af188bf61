"""What is fuzzed. To add a kind of file, write one function that returns a `Target` and list it in `TARGETS`."""

import pathlib
import shutil
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from camfuse_jax.config import Config, NetConfig, from_json, to_json
from camfuse_jax.data.folders import find_pairs, read_split
from camfuse_jax.errors import UsageError
from camfuse_jax.fusion import fuse, load_params, save_params
from camfuse_jax.images import read_gray, write_gray
from camfuse_jax.stress import fused_targets, small
from camfuse_jax.training import StageCheckpoints, manifest, saved_config
from camfuse_jax.training.progress import keep_until


class Target(NamedTuple):
    """A kind of file.

    Attributes:
        seeds: Contents to mutate.
        use: Does with a content what the program does with such a file; raises a CamfuseError to refuse it.
        named: What the refusal must name.
    """

    seeds: list[bytes]
    use: Callable[[bytes], None]
    named: str


def images(folder: pathlib.Path) -> Target:
    """Image files, fused with an intact one as stage `fuse` does."""
    path, vis = folder / "mutated.png", small.picture(1)

    def use(content: bytes) -> None:
        path.write_bytes(content)
        ir = read_gray(path)
        if ir.shape == vis.shape:  # else they would be refused as a pair; every other size would be compiled
            write_gray(folder / "fused.png", np.asarray(fuse(small.params(), ir, vis)))

    return Target(small.image_files(), use, str(path))


def weights(folder: pathlib.Path) -> Target:
    """Weights files."""
    path = folder / "mutated.safetensors"
    save_params(path, small.params())

    def use(content: bytes) -> None:
        path.write_bytes(content)
        load_params(path)

    return Target([path.read_bytes()], use, str(path))


def configs(folder: pathlib.Path) -> Target:
    """Configs as JSON, those of weights and those of a stage's folder."""
    config = Config()

    def use(content: bytes) -> None:
        (folder / saved_config.NAME).write_bytes(content)
        for kind in (Config, NetConfig):
            try:
                from_json(kind, content.decode(errors="replace"))
            except UsageError as error:
                if kind.__name__ not in str(error) and "must be" not in str(error).lower():
                    raise AssertionError(f"names neither the config nor the setting: {error}") from error
        saved_config.agree(folder, {"net": {"margin": 4}})

    return Target([to_json(config).encode(), to_json(config.net).encode(), b'{"net": {"margin": 4}}'], use, str(folder))


def splits(folder: pathlib.Path) -> Target:
    """`splits.json` of a folder of pairs."""
    for kind in ("ir", "vis"):
        for name in "abcde":
            write_gray(folder / kind / f"{name}.png", small.picture())

    def use(content: bytes) -> None:
        (folder / "splits.json").write_bytes(content)
        read_split(folder, "train", [pair.name for pair in find_pairs(folder)])

    seeds = [b'{"train": ["a", "b"], "test": ["c"], "all": ["a", "b", "c"]}', b'{"train": ["a"]}']
    return Target(seeds, use, str(folder))


def logs(folder: pathlib.Path) -> Target:
    """`metrics.jsonl`, of which a resumed run keeps the sound lines."""
    path = folder / "metrics.jsonl"

    def use(content: bytes) -> None:
        path.write_bytes(content)
        keep_until(path, 40)
        keep_until(path, 40)

    return Target([b"".join(b'{"step": %d, "loss": 0.5}\n' % step for step in range(10, 60, 10))], use, str(path))


def checkpoints(folder: pathlib.Path) -> Target:
    """The files of a step one after the other, with the manifest as it was: damage."""
    return _step(folder, forge=False)


def forged_checkpoints(folder: pathlib.Path) -> Target:
    """The same with a manifest that fits the changed files: ill will."""
    return _step(folder, forge=True)


def _step(folder: pathlib.Path, *, forge: bool) -> Target:
    config, whole = {"stage": "rehearsal"}, folder / "whole"
    with StageCheckpoints(whole, config) as saved:
        saved.save(2, small.state(2))
        saved.save(4, small.state(4))
    # Each seed begins with the file's number: a mutation stays with its file, or goes to a random other.
    names = sorted(p.relative_to(whole) for p in (whole / "4").rglob("*") if p.is_file() and p.name != manifest.NAME)
    if not forge:
        names.append(pathlib.Path("4") / manifest.NAME)
    seeds = [bytes([number]) + (whole / name).read_bytes() for number, name in enumerate(names)]
    used = folder / "used"

    def use(content: bytes) -> None:
        shutil.rmtree(used, ignore_errors=True)
        shutil.copytree(whole, used)
        number, changed = (content or b"\0")[0] % len(names), content[1:]
        (used / names[number]).write_bytes(changed)
        if forge:
            shutil.rmtree(used / "2")
            (used / "4" / manifest.NAME).unlink()
            manifest.write(used / "4", step=4, last=False, config=manifest.digest(config))
        with StageCheckpoints(used, config, writable=False) as opened:
            found = opened.restore(small.state(0))
        expected = 4 if changed == (whole / names[number]).read_bytes() else 2
        if not forge and int(found.step) != expected:
            raise AssertionError(f"step {found.step} was loaded after damage to {names[number]}")

    return Target(seeds, use, str(used))


TARGETS: dict[str, Callable[[pathlib.Path], Target]] = {
    "images": images,
    "weights": weights,
    "configs": configs,
    "split files": splits,
    "logs": logs,
    "damaged checkpoints": checkpoints,
    "forged checkpoints": forged_checkpoints,
    "videos": lambda folder: Target(*fused_targets.videos(folder)),
    "frame sequences": lambda folder: Target(*fused_targets.sequences(folder)),
    "pairing tables": lambda folder: Target(*fused_targets.tables(folder)),
    "calibrations": lambda folder: Target(*fused_targets.calibrations(folder)),
}
