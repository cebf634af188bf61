"""Scores of the ablation's variants, kept on disk by what they depend on, so that a stopped run goes on."""

import dataclasses
import json
import pathlib
import sys
from collections.abc import Sequence

import flax.traverse_util
import jax
import numpy as np
import scipy

from camfuse_jax.config import Modality
from camfuse_jax.data.sources import GrayImage
from camfuse_jax.fusion.dispatch import plan_programs
from camfuse_jax.fusion.fuse import explain, fuse_arrays
from camfuse_jax.fusion.params import Params
from camfuse_jax.metrics.evaluate import count_right
from camfuse_jax.metrics.protocol import ImageScores
from camfuse_jax.metrics.registry import PAPER_METRICS, PICTURE_METRICS
from camfuse_jax.metrics.table import ScoreTable, score
from camfuse_jax.system.files import array_digest, write_atomically
from camfuse_jax.training.manifest import digest
from paper.inputs import code_digest

KEYS = (*PAPER_METRICS, "Qabf", "MI", "NOISE", *PICTURE_METRICS)
CODE = ("cam.py", "config.py", "fusion", "images", "metrics", "nets", "system/runtime.py")
"""What fused images and their scores depend on besides weights and sources; paths inside the package."""

Pair = tuple[str, GrayImage, GrayImage]


@dataclasses.dataclass(frozen=True)
class Scored:
    """What one set of weights gets on the test list.

    Attributes:
        table: Its scores.
        right: Test images that its classifier takes for what they are; None where it was not asked.
    """

    table: ScoreTable
    right: int | None


class Scorer:
    """Fuses and scores a test list for one set of weights after the other.

    Args:
        pairs: The list.
        folder: Where the scores are kept; made when the first are.
    """

    def __init__(self, pairs: Sequence[Pair], folder: pathlib.Path):
        self._pairs, self._folder = list(pairs), folder
        self._buckets = plan_programs(vis.shape for *_, vis in pairs)
        arrays = {f"{name}/{kind}": image for name, *both in pairs for kind, image in zip(Modality, both, strict=True)}
        self._sources = array_digest(arrays, json.dumps([name for name, *_ in pairs]))

    def __call__(self, params: Params, *, name: str, classify: bool) -> Scored:
        """The scores of some weights: read if they were computed before by the same code, else computed and kept.

        Args:
            params: Weights and rule.
            name: What to call them in the table.
            classify: Whether to ask the classifier as well.
        """
        path = self._folder / f"{self._key(params, classify=classify)[:16]}.json"
        found = _read(path, name)
        if found is None:
            found = self._compute(params, name=name, classify=classify)
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(path, _text(found))
        return found

    def _key(self, params: Params, *, classify: bool) -> str:
        return digest(
            {
                "sources": self._sources,
                "params": array_digest(_arrays(params), repr((params.net, params.fusion))),
                "metrics": KEYS,
                "classify": classify,
                "code": code_digest(CODE),
                "versions": [jax.__version__, np.__version__, scipy.__version__, jax.devices()[0].device_kind],
            }
        )

    def _compute(self, params: Params, *, name: str, classify: bool) -> Scored:
        fused = {pair: np.asarray(fuse_arrays(params, ir, vis, buckets=self._buckets)) for pair, ir, vis in self._pairs}
        table = score(self._pairs, fused, metrics=KEYS, method=name)
        return Scored(table, self._right(params) if classify else None)

    def _right(self, params: Params) -> int:
        explained = (explain(params, *both, buckets=self._buckets) for _, *both in self._pairs)
        return sum(count_right(np.asarray(explanation.probability[0])) for explanation in explained)


def _arrays(params: Params) -> dict[str, np.ndarray]:
    tree = {part: getattr(params, part) for part in ("encoder", "decoder", "classifier")}
    flat = flax.traverse_util.flatten_dict(tree, sep="/")
    gains = {"ir_gain": params.ir_gain, "vis_gain": params.vis_gain}
    return {name: np.asarray(value) for name, value in {**flat, **gains}.items()}


def _text(scored: Scored) -> str:
    content = {
        "rows": {image: dataclasses.asdict(scores) for image, scores in scored.table.rows.items()},
        "stamp": scored.table.tag,
        "right": scored.right,
    }
    return json.dumps({"scores": content, "sha256": digest(content)}, indent=1)


def _read(path: pathlib.Path, name: str) -> Scored | None:
    """What `_text` wrote; None if there is nothing, or it is damaged."""
    if not path.is_file():
        return None
    try:
        whole = json.loads(path.read_bytes())
        content = whole["scores"]
        intact = whole["sha256"] == digest(content)
    except (ValueError, LookupError, TypeError, RecursionError):
        intact = False
    if not intact:
        print(f"ablate: {path} is damaged; its scores are computed again", file=sys.stderr)
        return None
    rows = {image: ImageScores(**scores) for image, scores in content["rows"].items()}
    return Scored(ScoreTable(name, KEYS, rows, content["stamp"]), content["right"])
