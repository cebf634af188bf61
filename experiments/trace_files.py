"""How many files of the package a call passes through, and how large the wheel is.

`python experiments/trace_files.py` traces `fuse`, `camfuse fuse a.png b.png -o c.png` and a batch of stage cls, each in
a process of its own, and counts files of which a function was called; class bodies and module tops do not count.
"""

import inspect
import pathlib
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable

import numpy as np
import tyro

import camfuse_jax

PACKAGE = pathlib.Path(camfuse_jax.__file__).parent
GOALS = {"fuse": 9, "camfuse": 22, "cls": 9}


def files_of(call: Callable[[], object]) -> dict[str, set[str]]:
    """File to the functions of it that were called, in all threads."""
    called: dict[str, set[str]] = {}

    def note(frame, event, _argument):
        code = frame.f_code
        path = pathlib.Path(code.co_filename)
        if event == "call" and code.co_flags & inspect.CO_OPTIMIZED and PACKAGE in path.parents:
            called.setdefault(path.relative_to(PACKAGE).as_posix(), set()).add(code.co_name)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return called


def _fuse() -> Callable[[], object]:
    params = camfuse_jax.load_params("tno")
    ir, vis = np.random.default_rng(0).integers(0, 256, (2, 96, 128), np.uint8)
    return lambda: camfuse_jax.fuse(params, ir, vis)


def _camfuse() -> Callable[[], object]:
    from camfuse_jax.cli import main
    from camfuse_jax.images.write import write_picture

    folder = pathlib.Path(tempfile.mkdtemp())
    for name in ("a", "b"):
        write_picture(folder / f"{name}.png", np.random.default_rng(0).integers(0, 256, (96, 128), np.uint8))
    return lambda: main(["fuse", *(str(folder / name) for name in ("a.png", "b.png")), "-o", str(folder / "c.png")])


def _cls() -> Callable[[], object]:
    """One batch of stage cls through one step, as `training.loop.fit` takes it; nothing is compiled before."""
    import jax
    import jax.numpy as jnp

    from camfuse_jax.config import tiny
    from camfuse_jax.data.batches import Loader, PairExample, WindowSource
    from camfuse_jax.nets.build import init_autoencoder, init_classifier
    from camfuse_jax.training import step
    from camfuse_jax.training.classifier import make_classifier_loss

    config = tiny()
    images = np.random.default_rng(0).integers(0, 256, (4, 2, 96, 96), np.uint8)
    source = WindowSource(iter(images), size=config.cls.crop, stride=config.cls.stride)
    loader = Loader(source, PairExample(augment=True), batch_size=2, seed=0)
    tx = step.make_optimizer(config.cls, total_steps=4)
    loss = make_classifier_loss(config, steps_per_epoch=2)
    params = init_classifier(config.net, seed=0)
    state = step.TrainState(jnp.int32(0), params, tx.init(params))
    frozen = {"encoder": init_autoencoder(config.net, seed=0)["encoder"]}
    state, frozen = (step.replicate(tree, devices=1) for tree in (state, frozen))

    def train() -> None:
        take = step.make_step(loss, tx, devices=1)
        jax.block_until_ready(take(state, frozen, step.shard(next(loader), devices=1)))
        loader.close()

    return train


CALLS = {"fuse": _fuse, "camfuse": _camfuse, "cls": _cls}


def main(what: str | None = None) -> None:
    """Prints the counts, and each file with its functions.

    Args:
        what: One of fuse, camfuse and cls; all of them, and the wheel, where not given.
    """
    if what is not None:
        called = files_of(CALLS[what]())
        print(f"{what}: {len(called)} files (at most {GOALS[what]})")
        for path, names in sorted(called.items()):
            print(f"  {path}: {', '.join(sorted(names - {'<lambda>', '<genexpr>', '<listcomp>', '<dictcomp>'}))}")
        return
    for name in CALLS:
        subprocess.run([sys.executable, __file__, "--what", name], check=True)
    files = sorted(PACKAGE.rglob("*.py"))
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files)
    print(f"wheel: {len(files)} Python files (at most 110), {lines} lines (at most 14,000)")


if __name__ == "__main__":
    tyro.cli(main)
