"""Does fusion help a person detector on your images? Counts people in infrared, visible and fused images.

`camfuse fuse thermal/ photos/ -o fused`, then `python experiments/detect_people.py thermal/ photos/ fused/`; with
`--boxes boxes.json` (NAME: [[left, top, width, height], ...]) also how many of the people were found. The detector is
OpenCV's own: histograms of oriented gradients and a linear support vector machine (Dalal and Triggs 2005). It comes
with the package (`pip install '.[detect]'`), it is old, and it is the same for all three images, which is what counts.
See docs/detectors.md.
"""

import argparse
import json
import pathlib
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from camfuse_jax.data.pairs import find_pairing
from camfuse_jax.errors import CamfuseError, InputError, UsageError
from camfuse_jax.images.read import read_gray

WINDOW = (128, 64)
"""Height and width in pixels of the smallest person that the detector knows, with its margin."""
MOST_SCALING = 4.0
Box = tuple[int, int, int, int]


class Counts(NamedTuple):
    """Boxes in all; and, where the people are known, how many were found and how many boxes are wrong."""

    boxes: int = 0
    found: int = 0
    wrong: int = 0


def make_detector() -> Any:
    """OpenCV's person detector.

    Raises:
        UsageError: This build of OpenCV does not have it, or there is none.
    """
    try:
        import cv2

        detector = cv2.HOGDescriptor()
        detector.setSVMDetector(cv2.HOGDescriptor_getDefaultPeopleDetector())
    except (ImportError, AttributeError) as error:
        raise UsageError(
            "OpenCV with its person detector is not installed.",
            "Run `pip install '.[detect]'`; from version 5 on, only the contrib build has the detector.",
        ) from error
    return detector


def find_people(detector: Any, image: UInt8[np.ndarray, "h w"], *, scale: float = 2.0, score: float = 0.3) -> list[Box]:
    """Boxes (left, top, width, height) in pixels of the image, best first, overlaps removed.

    Args:
        detector: From `make_detector`.
        image: Gray levels.
        scale: Enlargement before detection; 2 finds people from 50 pixels on.
        score: Least score of a box.
    """
    import cv2

    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    if size[1] < WINDOW[0] or size[0] < WINDOW[1]:
        return []
    large = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
    boxes, scores = detector.detectMultiScale(large, winStride=(8, 8), padding=(16, 16), scale=1.05)
    kept: list[Box] = []
    for number in np.argsort(-np.ravel(scores)):
        box = tuple(round(int(side) / scale) for side in boxes[number])
        if np.ravel(scores)[number] >= score and all(overlap(box, other) < 0.4 for other in kept):
            kept.append(box)
    return kept


def overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    both = max(width, 0) * max(height, 0)
    return both / (a[2] * a[3] + b[2] * b[3] - both)


def judge(boxes: Sequence[Box], people: Sequence[Box], *, least: float = 0.3) -> Counts:
    """Matches boxes with known people, each at most once, the best boxes first."""
    left = list(people)
    for box in boxes:
        best = max(left, key=lambda person: overlap(box, person), default=None)
        if best is not None and overlap(box, best) >= least:
            left.remove(best)
    found = len(people) - len(left)
    return Counts(len(boxes), found, len(boxes) - found)


def compare(
    ir: pathlib.Path,
    vis: pathlib.Path,
    fused: pathlib.Path,
    people: dict[str, list[Box]] | None = None,
    *,
    scale: float = 2.0,
    score: float = 0.3,
) -> dict[str, dict[str, Counts]]:
    """Counts of each pair that has a fused image: {name: {"infrared": ..., "visible": ..., "fused": ...}}.

    Raises:
        InputError: No pair has a fused image.
        UsageError: There is no detector.
    """
    detector = make_detector()
    results = {path.stem: path for path in sorted(fused.iterdir())}
    counts = {}
    for pair in find_pairing(ir, vis).pairs:
        if pair.name in results:
            files = {"infrared": pair.ir, "visible": pair.vis, "fused": results[pair.name]}
            known = (people or {}).get(pair.name, [])
            counts[pair.name] = {
                kind: judge(find_people(detector, read_gray(path), scale=scale, score=score), known)
                for kind, path in files.items()
            }
    if not counts:
        raise InputError(f"No pair of {ir} and {vis} has a fused image in {fused}.", "Run `camfuse fuse` first.")
    return counts


def table(counts: dict[str, dict[str, Counts]], *, known: bool) -> str:
    """Sums over all pairs, as Markdown."""
    lines = ["| image | boxes |" + (" people found | wrong boxes |" if known else ""), "|---|---|" + "---|---|" * known]
    for kind in ("infrared", "visible", "fused"):
        total = Counts(*(sum(column) for column in zip(*(one[kind] for one in counts.values()), strict=True)))
        lines.append(f"| {kind} | {total.boxes} |" + (f" {total.found} | {total.wrong} |" if known else ""))
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the table; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ir", type=pathlib.Path)
    parser.add_argument("vis", type=pathlib.Path)
    parser.add_argument("fused", type=pathlib.Path)
    parser.add_argument("--boxes", type=pathlib.Path, help="JSON of the people that are there")
    parser.add_argument("--scale", type=float, default=2.0, help="enlargement before detection, up to 4")
    parser.add_argument("--score", type=float, default=0.3, help="least score of a box")
    parser.add_argument("--json", action="store_true", help="print every pair's counts as JSON")
    arguments = parser.parse_args(argv)
    try:
        if not 0 < arguments.scale <= MOST_SCALING:
            raise UsageError(f"--scale must be above 0 and at most {MOST_SCALING:g}, got {arguments.scale:g}.")
        people = _read_boxes(arguments.boxes) if arguments.boxes else None
        folders = (arguments.ir, arguments.vis, arguments.fused)
        counts = compare(*folders, people, scale=arguments.scale, score=arguments.score)
    except CamfuseError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    if arguments.json:
        print(json.dumps({name: {k: c._asdict() for k, c in one.items()} for name, one in counts.items()}, indent=1))
    else:
        print(table(counts, known=people is not None))
        print(f"\n{len(counts)} pairs")
    return 0


def _read_boxes(path: pathlib.Path) -> dict[str, list[Box]]:
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
        boxes = {name: [tuple(map(int, box)) for box in those] for name, those in listed.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path} cannot be read: {error}.", _WANTED) from error
    wrong = sorted(name for name, those in boxes.items() if any(len(box) != 4 for box in those))
    if wrong:
        raise InputError(f"{path} has boxes of other than four numbers for {', '.join(wrong)}.", _WANTED)
    return boxes


_WANTED = 'Write {"NAME": [[left, top, width, height], ...], ...}.'


if __name__ == "__main__":
    sys.exit(main())
