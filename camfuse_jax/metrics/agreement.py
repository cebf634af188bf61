"""How far the exact path is from other implementations: `python -m camfuse_jax.metrics.agreement`.

The other implementations are not dependencies: those that are not installed are reported as such.
"""

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from camfuse_jax.data.folders import Pair, data_root, pairs_of_split
from camfuse_jax.images import read_gray
from camfuse_jax.metrics import statistics
from camfuse_jax.metrics.baselines import BASELINES
from camfuse_jax.metrics.command import data_parser, exit_code
from camfuse_jax.metrics.fidelity import vif
from camfuse_jax.metrics.folders import score_folders
from camfuse_jax.metrics.reference_scores import KEYS, REFERENCE_SCORES, reference_row
from camfuse_jax.metrics.structure import ms_ssim, ssim, summed_uniform_ssim

TwoImages = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class Reference:
    """One metric of another implementation and ours beside it, both of `(reference, image)` on uint8 gray images."""

    package: str
    metric: str
    ours: TwoImages
    theirs: TwoImages
    tolerance: float


@dataclass(frozen=True)
class Agreement:
    """Largest difference found; None if the implementation is not installed."""

    package: str
    metric: str
    images: int
    difference: float | None
    tolerance: float

    @property
    def holds(self) -> bool:
        """Whether the difference is within the tolerance; an absent implementation proves and refutes nothing."""
        return self.difference is None or self.difference <= self.tolerance


def agreement(images: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[Agreement]:
    """Compare with scikit-image and piq on `(reference, image)` pairs of uint8 gray images.

    Args:
        images: At least 176 x 176 pixels each. MS-SSIM is compared on their part divisible by 16, where the
            implementations' rules for odd sizes do not matter.

    Returns:
        One row per reference metric.
    """
    rows = []
    for reference in _references():
        if importlib.util.find_spec(reference.package) is None:
            rows.append(Agreement(reference.package, reference.metric, 0, None, reference.tolerance))
            continue
        worst = max(abs(reference.ours(a, b) - reference.theirs(a, b)) for a, b in images)
        rows.append(Agreement(reference.package, reference.metric, len(images), worst, reference.tolerance))
    return rows


def peer_agreement(dataset: str, pairs: Sequence[Pair], peers: Path) -> list[Agreement]:
    """Compare scores of published fused images and of the baselines with the printed reference scores.

    Args:
        dataset: `"tno"` or `"roadscene"`.
        pairs: Its test list.
        peers: Folder of `METHOD/DATASET/NAME.png`.

    Returns:
        One row per method: the largest difference between the means, rounded as printed, and the printed ones.
        It must be 0.
    """
    folders = {name: peers / name / dataset for name in REFERENCE_SCORES[dataset] if name not in BASELINES}
    rows = []
    for table in score_folders(pairs, folders, metrics=KEYS):
        expected = reference_row(dataset, table.method)
        worst = max(abs(float(printed_like(table.mean(key), text)) - float(text)) for key, text in expected.items())
        rows.append(Agreement("printed scores", f"{table.method}, {dataset}, 13 metrics", len(pairs), worst, 0.0))
    return rows


def printed_like(value: float | None, text: str) -> str:
    """The value with as many decimals as the text has."""
    return "n/a" if value is None else f"{value:.{len(text.partition('.')[2])}f}"


def agreement_markdown(rows: Sequence[Agreement]) -> str:
    """The rows as a Markdown table."""
    lines = ["| against | what | images | largest difference | allowed |", "|---|---|---|---|---|"]
    for row in rows:
        found = "not installed" if row.difference is None else f"{row.difference:.1e}"
        lines.append(f"| {row.package} | {row.metric} | {row.images} | {found} | {row.tolerance:g} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 if a difference is larger than allowed."""
    parser = data_parser("agreement", __doc__)
    parser.add_argument("--peers", type=Path, help="folder with METHOD/DATASET/NAME.png (default: $CAMFUSE_PEERS)")
    parser.add_argument("--images", type=int, default=10, help="TNO test pairs compared with the libraries")
    options = parser.parse_args(arguments)

    def run() -> int:
        peers = options.peers or os.environ.get("CAMFUSE_PEERS")
        rows = list(_all_rows(data_root(options.data), peers and Path(peers), options.images))
        sys.stdout.write(agreement_markdown(rows) + "\n")
        return 0 if all(row.holds for row in rows) else 1

    return exit_code(run)


def _all_rows(data: Path, peers: Path | None, count: int) -> Iterator[Agreement]:
    yield from agreement(_against_average(pairs_of_split(data / "tno", "test")[:count]))
    if peers is not None:
        for dataset in REFERENCE_SCORES:
            yield from peer_agreement(dataset, pairs_of_split(data / dataset, "test"), Path(peers))


def _against_average(pairs: Sequence[Pair]) -> list[tuple[np.ndarray, np.ndarray]]:
    images = []
    for pair in pairs:
        ir, vis = read_gray(pair.ir), read_gray(pair.vis)
        images += [(ir, BASELINES["average"](ir, vis)), (vis, BASELINES["contrast_preserving_sum"](ir, vis))]
    return images


def _references() -> list[Reference]:
    def entropy(_: np.ndarray, image: np.ndarray) -> float:
        return statistics.entropy(image, image, image)

    def ssim2(a: np.ndarray, b: np.ndarray) -> float:
        return summed_uniform_ssim(a, a, b) / 2

    def ms_ssim_even(a: np.ndarray, b: np.ndarray) -> float:
        # piq sets a negative term to 0, which only the exact path's sign rule turns into a negative product.
        return max(ms_ssim(_by_16(a), _by_16(b)), 0.0)

    return [
        Reference("skimage", "entropy", entropy, lambda _, b: _skimage_entropy(b), 1e-6),
        Reference("skimage", "SSIM, Gaussian window", _cropped_ssim, _skimage_ssim, 1e-6),
        Reference("skimage", "SSIM, uniform window, L = 2", ssim2, _skimage_uniform_ssim, 1e-6),
        Reference("piq", "SSIM", _cropped_ssim, lambda a, b: _piq("ssim", a, b, downsample=False), 1e-4),
        Reference("piq", "VIF", vif, lambda a, b: _piq("vif_p", b, a), 1e-4),
        Reference(
            "piq", "MS-SSIM, sizes cut to multiples of 16", ms_ssim_even,
            lambda a, b: _piq("multi_scale_ssim", _by_16(a), _by_16(b)), 1e-4,
        ),
    ]  # fmt: skip


def _cropped_ssim(a: np.ndarray, b: np.ndarray) -> float:
    return ssim(a, b, border="crop")


def _by_16(image: np.ndarray) -> np.ndarray:
    return image[: image.shape[0] // 16 * 16, : image.shape[1] // 16 * 16]


def _skimage_entropy(image: np.ndarray) -> float:
    from skimage.measure import shannon_entropy

    return float(shannon_entropy(image, base=2))


def _skimage_ssim(a: np.ndarray, b: np.ndarray) -> float:
    from skimage.metrics import structural_similarity

    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    return float(structural_similarity(a.astype(np.float64), b.astype(np.float64), **settings))


def _skimage_uniform_ssim(a: np.ndarray, b: np.ndarray) -> float:
    from skimage.metrics import structural_similarity

    return float(structural_similarity(a.astype(np.float64), b.astype(np.float64), data_range=2))


def _piq(name: str, a: np.ndarray, b: np.ndarray, **settings: object) -> float:
    import piq
    import torch

    tensors = (torch.from_numpy(image.astype(np.float64))[None, None] for image in (a, b))
    return float(getattr(piq, name)(*tensors, data_range=255.0, **settings))


if __name__ == "__main__":
    raise SystemExit(main())
