"""How far the metrics are from other implementations: `cd experiments && python -m metrics_check.agreement`.

Compared are scikit-image and piq, which are not dependencies (those that are not installed are reported as such), and
the scores that published fused images and the baselines got from an independent evaluator.
"""

import argparse
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from camfuse_jax.data.pairs import Pair
from camfuse_jax.data.splits import data_root, pairs_of_split
from camfuse_jax.errors import CamfuseError
from camfuse_jax.images.read import read_gray
from camfuse_jax.metrics import information
from camfuse_jax.metrics.information import vif
from camfuse_jax.metrics.ssim import ms_ssim, structural_similarity, summed_uniform_ssim
from camfuse_jax.metrics.table import BASELINES, score_folders


def data_parser(module: str, about: str | None) -> argparse.ArgumentParser:
    """A parser with `--data` for `python -m metrics_check.MODULE`."""
    parser = argparse.ArgumentParser(prog=f"python -m metrics_check.{module}", description=about)
    parser.add_argument("--data", type=Path, help="folder with tno/ and roadscene/ (default: $CAMFUSE_DATA)")
    return parser


def exit_code(action: Callable[[], int]) -> int:
    """Runs a command's work; a user's mistake ends it with one line and the code of its kind."""
    try:
        return action()
    except CamfuseError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code


KEYS = ("EN", "AG", "SCD", "SSIM", "VIF", "SSIM2", "SF", "SD", "MI", "Qabf", "MS-SSIM", "CC", "PSNR")
"""Columns of the rows below. SCD of a single source is undefined, so the sources are no rows."""

REFERENCE_SCORES: dict[str, dict[str, str]] = {
    "tno": {
        "SHIP": "6.9472 4.8953 1.5490 0.6717 0.7752 0.9630 12.94 40.78 4.07 0.5790 0.6443 0.4805 13.46",
        "MMDRFuse": "7.0538 4.3795 1.7124 0.6848 0.7024 1.0011 11.35 41.00 2.95 0.4827 0.6683 0.5199 13.22",
        "SeAFusion": "7.1036 4.9602 1.7174 0.6741 0.6890 0.9879 12.41 44.20 2.88 0.5065 0.6601 0.5158 13.74",
        "U2Fusion": "6.8792 4.8428 1.7190 0.6768 0.5919 0.9845 11.71 35.72 2.08 0.4462 0.6839 0.5465 15.51",
        "average": "6.2329 2.6785 1.5414 0.7482 0.5727 1.0139 6.95 26.11 2.31 0.3564 0.7101 0.5648 16.40",
        "maximum": "6.8127 3.7883 1.5399 0.6907 0.9243 1.0002 10.06 40.01 6.80 0.5988 0.6427 0.4792 13.39",
        "contrast_preserving_sum": (
            "7.2282 5.0758 1.9499 0.6597 0.6768 0.9930 13.05 49.18 2.37 0.4813 0.6690 0.5573 13.20"
        ),
    },
    "roadscene": {
        "MMDRFuse": "7.2462 4.3607 1.7757 0.7207 0.6698 0.9698 11.65 47.23 3.42 0.4809 0.6292 0.5869 14.48",
        "SeAFusion": "7.4349 6.3081 1.7423 0.6646 0.6807 0.9200 16.21 54.15 3.25 0.5207 0.6107 0.5747 13.63",
        "U2Fusion": "7.0050 5.1520 1.6698 0.7055 0.5800 0.9673 12.95 35.70 2.53 0.5058 0.6569 0.6249 14.86",
        "average": "6.4494 2.8877 1.4161 0.7637 0.5696 0.9482 7.53 28.52 2.88 0.3822 0.6737 0.6325 16.40",
        "maximum": "7.0305 4.1149 1.4110 0.7138 0.8530 0.9728 11.63 44.01 7.37 0.6040 0.6057 0.5333 13.39",
        "contrast_preserving_sum": (
            "7.4701 5.4898 1.9723 0.6840 0.6754 0.9672 14.33 55.07 2.97 0.5221 0.6455 0.6273 14.05"
        ),
    },
}
"""Data set to method to the printed means over its test list, in the order of `KEYS`: what they must get here.

The evaluator had itself been checked against Tang's MATLAB results on 42 images by 9 methods and against CDDFuse's
Python code (docs/metrics.md). Values are as printed, so their decimals are the precision to be met.
"""


def reference_row(dataset: str, method: str) -> dict[str, str]:
    """Metric key to the printed mean; raises KeyError for an unknown data set or method."""
    return dict(zip(KEYS, REFERENCE_SCORES[dataset][method].split(), strict=True))


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

    The images have at least 176 x 176 pixels. MS-SSIM is compared on their part divisible by 16, where the
    implementations' rules for odd sizes do not matter.
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
        return information.entropy(image, image, image)

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
    return structural_similarity(a, b, border="crop")


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
