"""`camfuse calibrate`."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from camfuse_jax.commands.fuse import check_pattern, counted
from camfuse_jax.errors import InputError, UsageError

if TYPE_CHECKING:
    from camfuse_jax.pair.calibrate import Measured, Points

_POOR = 2.0  # visible pixels of error from which on a fused image shows double edges


@dataclasses.dataclass(frozen=True)
class Calibrate:
    """Measures the homography from infrared to visible pixels, for `camfuse fuse --calibration`.

    From a few pairs that show a calibration board, or from a table of matched points. A homography holds for one
    distance: take the board to where your scene is. Needs pip install 'camfuse-jax[align]'.

    For instance: camfuse calibrate thermal/ photos/ --board 9x6 -o homography.json

    Attributes:
        ir: Infrared file or folder that shows the board.
        vis: Visible file or folder.
        board: 9x6 (inner corners of a chessboard), circles:7x5, or asymmetric:4x11.
        points: Table of matched points with the columns ir_x, ir_y, vis_x and vis_y, instead of IR and VIS.
        pattern: As for `camfuse fuse`.
        out: The file for --calibration.
        force: Replace an existing file.
        json: Print one JSON object instead of text.
    """

    ir: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[IR]")] = None
    vis: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[VIS]")] = None
    board: str | None = None
    points: Path | None = None
    pattern: tuple[str, str] | None = None
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("homography.json")
    force: bool = False
    json: bool = False

    def run(self) -> None:
        """Measures, writes the file and prints the errors.

        Raises:
            CamfuseError: By kind.
        """
        from camfuse_jax.pair.calibrate import measure_homography, read_points
        from camfuse_jax.system.files import replace_file

        if self.out.exists() and not self.force:
            raise UsageError(f"{self.out} exists.", "Use --force to replace it, or another name.")
        if (self.points is None) == (self.ir is None):
            raise UsageError("Give either images of a board or --points.", "See camfuse calibrate --help.")
        if self.points is not None and (self.board is not None or self.pattern is not None):
            raise UsageError("--board or --pattern is given beside --points.", "Leave it out, or give images.")
        if self.ir is not None:
            check_pattern(self.ir, self.pattern)
        if self.points is not None:
            found, names, without = [read_points(self.points)], [self.points.name], []
        else:
            found, names, without = self._find_boards()
        measured = measure_homography(found)
        report = measured.as_json() | {"pairs": names, "board_not_found": without}
        try:
            replace_file(self.out, json.dumps(report, indent=1) + "\n", exclusive=not self.force)
        except FileExistsError as error:
            raise UsageError(f"{self.out} exists.", "Use --force to replace it, or another name.") from error
        if self.json:
            print(json.dumps({"command": "calibrate", "out": str(self.out)} | report, indent=1))
        else:
            self._print(measured, names, without)

    def _find_boards(self) -> "tuple[list[tuple[Points, Points]], list[str], list[str]]":
        """Points of both images of each pair that shows the board, these pairs' names, and those of the others."""
        from camfuse_jax.data.pairs import find_pairing
        from camfuse_jax.pair.calibrate import find_board, parse_board, same_order

        assert self.ir is not None
        if self.board is None:
            raise UsageError("--board is missing.", "Say what the images show, such as --board 9x6.")
        board = parse_board(self.board)
        pairing = find_pairing(self.ir, self.vis, pattern=self.pattern)
        if not pairing.pairs:
            why = pairing.why_nothing.replace(": camfuse fuse ", ": camfuse calibrate ")
            raise InputError(f"There are no pairs: {why}", "See docs/cameras.md.")
        found, names, without = [], [], []
        for pair in pairing.pairs:
            ir, vis = (find_board(_levels(path), board) for path in (pair.ir, pair.vis))
            if ir is None or vis is None:
                absent = "both" if ir is vis else "infrared" if ir is None else "visible"
                without.append(f"{pair.name} ({absent})")
                continue
            found.append((same_order(ir, vis, board), vis))
            names.append(pair.name)
        if not found:
            raise InputError(
                f"The board {self.board} is found in none of {len(without)} pairs: {', '.join(without[:5])}.",
                "Check its size: inner corners count, not squares. A board must be sharp and whole in both images.",
            )
        return found, names, without

    def _print(self, measured: "Measured", names: list[str], without: list[str]) -> None:
        print(f"homography: {self.out}")
        errors = measured.as_json()["error_px"]
        print(f"mean error {errors['rms']} px (root mean square over {counted(int(measured.used.sum()), 'point')})")
        for name, error in zip(names, measured.held_out, strict=False):
            print(f"{name}: {error:.2f} px where only the other pairs are fitted")
        left_out = int((~measured.used).sum())
        if left_out:
            print(f"note: {left_out} of {len(measured.errors)} points lie too far off to be used", file=sys.stderr)
        if without:
            some = f"{counted(len(without), 'pair')}: {', '.join(without[:5])}"
            print(f"note: board not found in {some}", file=sys.stderr)
        if max(measured.rms, *measured.held_out, 0) > _POOR:
            why = "the board at several distances, a bent board, or wide lenses"
            print(f"note: more than {_POOR:g} px are seen as double edges; usual causes: {why}", file=sys.stderr)


def _levels(path: Path):
    """An image as 8-bit gray levels over the range of its scene."""
    from camfuse_jax.images.ranges import RangePolicy, unit_samples
    from camfuse_jax.images.read import read_picture
    from camfuse_jax.pair.fuse import to_levels
    from camfuse_jax.pair.prepare import scalar_ir

    unit, _ = unit_samples(read_picture(path), RangePolicy("percentile"))
    return to_levels(scalar_ir(unit)[0], 8)
