"""Millions of pairs on an existing engine: a folder or bucket through Ray Data, `fuse` called in batches.

Ray does what a loop of ours would do badly: it feeds workers on one or many machines, starts those again that die, and
reads and writes wherever pyarrow can: folders, s3://, gs://, hdfs://. For instance, with two workers:

    pip install 'ray[data]' && python experiments/ray_fuse.py photos/pairs fused --workers 2

`photos/pairs` holds `ir/NAME.*` and `vis/NAME.*`. Names that are in `fused` already are passed over, so the same
command goes on where it was stopped. A pair that cannot be fused is reported, the others are done (docs/scale.md).
"""

import argparse
import collections
import json
import pathlib
import posixpath
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from camfuse_jax import fuse, load_params
from camfuse_jax.errors import CamfuseError
from camfuse_jax.images.color import luma_unit, with_luma
from camfuse_jax.images.read import READABLE_SUFFIXES, read_picture
from camfuse_jax.images.write import picture_bytes, to_depth
from camfuse_jax.pair.fuse import to_levels
from camfuse_jax.pair.options import FrameSettings
from camfuse_jax.pair.prepare import PreparedPair, prepare_pair

Row = dict[str, Any]


def fuse_rows(params: Any, rows: Iterable[Row], settings: FrameSettings) -> list[Row]:
    """Fuses pairs that are in memory; those of one size go to `fuse` together.

    Args:
        params: Weights from `load_params`.
        rows: Each with `name` and the content of the two files, `ir` and `vis`.
        settings: How each pair is treated.

    Returns:
        In the same order, each with `name`, `png` (None where it failed) and `error` (empty where it did not).
    """
    rows = list(rows)
    ready: dict[int, PreparedPair] = {}
    done = [{"name": row["name"], "png": None, "error": ""} for row in rows]
    for place, row in enumerate(rows):
        try:
            pictures = (read_picture(row[kind], name=f"{kind}/{row['name']}") for kind in ("ir", "vis"))
            ready[place] = prepare_pair(*pictures, settings)
        except CamfuseError as error:
            done[place]["error"] = str(error)
    sizes = collections.defaultdict(list)
    for place, pair in ready.items():
        sizes[pair.ir_unit.shape].append(place)
    for places in sizes.values():
        batch = np.stack([ready[place].ir_unit for place in places])[..., None].astype(np.float32)
        lumas = np.stack([_luma(ready[place]) for place in places])[..., None]
        fused = np.clip(np.asarray(fuse(params, batch, lumas))[..., 0], 0, 1)
        for place, luma in zip(places, fused, strict=True):
            done[place]["png"] = _png(ready[place], luma, gray=settings.gray)
    return done


def _luma(pair: PreparedPair) -> np.ndarray:
    return luma_unit(pair.vis_unit).astype(np.float32) if pair.vis_unit.ndim == 3 else pair.vis_unit


def _png(pair: PreparedPair, luma: np.ndarray, *, gray: bool) -> bytes:
    color = pair.vis_unit.ndim == 3 and not gray
    levels = to_levels(with_luma(pair.vis_unit, luma) if color else luma, pair.bits)
    alpha = None if pair.alpha is None else to_depth(pair.alpha, levels.dtype)
    return picture_bytes(levels, alpha=alpha, icc=pair.icc)


def files(filesystem: Any, folder: str) -> dict[str, str]:
    """Image files of a folder, by their name without ending."""
    import pyarrow.fs

    found = filesystem.get_file_info(pyarrow.fs.FileSelector(folder, allow_not_found=True))
    paths = (one.path for one in found if one.is_file and not one.base_name.startswith("."))
    return {pathlib.PurePosixPath(path).stem: path for path in paths if path.lower().endswith(tuple(READABLE_SUFFIXES))}


class Worker:
    """Holds weights and compiled programs between batches; Ray starts one per process.

    Args:
        weights: As for `load_params`.
        source: File system of the pairs.
        target: File system of the results.
        out: Folder of the results.
    """

    def __init__(self, weights: str, source: Any, target: Any, out: str):
        self._params, self._source, self._target, self._out = load_params(weights), source, target, out

    def __call__(self, batch: Mapping[str, np.ndarray]) -> dict[str, list]:
        """Reads, fuses and writes a batch; gives names and errors."""
        rows, done = [], []
        for name, ir, vis in zip(batch["name"], batch["ir"], batch["vis"], strict=True):
            try:
                rows.append({"name": name, "ir": self._read(ir), "vis": self._read(vis)})
            except OSError as error:
                done.append({"name": name, "error": str(error)})
        for row in fuse_rows(self._params, rows, FrameSettings()):
            if row["png"] is not None:
                self._write(row["name"], row["png"])
            done.append({"name": row["name"], "error": row["error"]})
        return {key: [row[key] for row in done] for key in ("name", "error")}

    def _read(self, path: str) -> bytes:
        with self._source.open_input_stream(path) as stream:
            return stream.read()

    def _write(self, name: str, content: bytes) -> None:
        """Whole or not at all: an object store's upload is that by itself, a folder gets a hidden file renamed."""
        partial, final = (posixpath.join(self._out, form.format(name)) for form in (".{}.png.part", "{}.png"))
        with self._target.open_output_stream(partial) as stream:
            stream.write(content)
        self._target.move(partial, final)


def run(pairs: str, out: str, *, weights: str, workers: int, batch: int, limit: int = 0) -> dict[str, Any]:
    """Fuses what is missing; gives counts, errors by name, and pairs per second."""
    import pyarrow.fs
    import ray

    (source, root), (target, folder) = (pyarrow.fs.FileSystem.from_uri(_uri(place)) for place in (pairs, out))
    target.create_dir(folder, recursive=True)
    ir, vis = (files(source, posixpath.join(root, kind)) for kind in ("ir", "vis"))
    there = files(target, folder)
    both = sorted(ir.keys() & vis.keys())
    todo = [name for name in both if name not in there][: limit or None]
    report = {
        "pairs": len(both),
        "there": len(both) - len([name for name in both if name not in there]),
        "alone": sorted(ir.keys() ^ vis.keys()),
    }
    begun = time.perf_counter()
    errors, count = {}, 0
    if todo:
        rows = [{"name": name, "ir": ir[name], "vis": vis[name]} for name in todo]
        dataset = ray.data.from_items(rows, override_num_blocks=max(1, -(-len(rows) // batch)))
        done = dataset.map_batches(
            Worker,
            fn_constructor_kwargs={"weights": weights, "source": source, "target": target, "out": folder},
            batch_size=batch,
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=1,  # of those that Ray shares out; with GPUs: num_gpus=1
        )
        for row in done.iter_rows():
            count += not row["error"]
            errors |= {row["name"]: row["error"]} if row["error"] else {}
    seconds = time.perf_counter() - begun
    return {**report, "fused": count, "failed": errors, "seconds": round(seconds, 1), "rate": round(count / seconds, 3)}


def _uri(place: str) -> str:
    return place if "://" in place else pathlib.Path(place).resolve().as_uri()


def main() -> int:
    """Runs the command line; 0 done, 1 some pairs failed or are alone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", help="folder or URI that holds ir/ and vis/")
    parser.add_argument("out", help="folder or URI of the results")
    parser.add_argument("--weights", default="tno")
    parser.add_argument("--workers", type=int, default=2, help="processes that fuse")
    parser.add_argument("--batch", type=int, default=8, help="pairs that a worker takes at a time")
    parser.add_argument("--limit", type=int, default=0, help="only the first pairs that are missing; 0 means all")
    options = parser.parse_args()
    report = run(**vars(options))
    print(json.dumps(report, indent=1))
    return 1 if report["failed"] or report["alone"] else 0


if __name__ == "__main__":
    sys.exit(main())
