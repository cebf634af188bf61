"""`camfuse doctor`."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import tyro

from camfuse_jax.commands.fuse import check_pattern, counted
from camfuse_jax.errors import SomeFailedError, UsageError


@dataclasses.dataclass(frozen=True)
class Doctor:
    """Says whether everything works here, and what is wrong with your images.

    Devices, versions, shipped weights, the time of one 640 x 480 frame; and for a folder or pair: files without a
    partner, unreadable files, sizes, infrared stored as color, 8-bit data in 16-bit files, misregistration, black-hot
    polarity, and infrared and visible swapped. Exit code 0 if nothing is wrong, 1 otherwise.

    For instance: camfuse doctor thermal/ photos/

    Attributes:
        ir: Infrared file or folder, or one folder that holds both kinds.
        vis: Visible file or folder.
        csv: Table of pairs, instead of IR and VIS.
        pattern: As for `camfuse fuse`.
        weights: A name as for `camfuse fuse`, or a file, whose frame time is measured.
        limit: Most pairs whose content is examined, spread over the folder; 0 examines all.
        json: Print one JSON object instead of text.
    """

    ir: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[IR]")] = None
    vis: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[VIS]")] = None
    csv: Path | None = None
    pattern: tuple[str, str] | None = None
    weights: str = "fast"
    limit: int = 50
    json: bool = False

    def run(self) -> None:
        """Examines and prints.

        Raises:
            SomeFailedError: Something is wrong; all of it has been printed.
            UsageError: Options exclude each other.
        """
        from camfuse_jax.batch.inspect import examine_machine, examine_pairs

        if self.csv is not None and (self.ir is not None or self.pattern is not None):
            raise UsageError("--csv is given beside IR or --pattern.", "Give one of them.")
        if self.ir is not None:
            check_pattern(self.ir, self.pattern)
        elif self.pattern is not None:
            raise UsageError("--pattern needs images.", "Give IR, or IR and VIS.")
        report = {"command": "doctor", **examine_machine(self.weights)}
        if self.csv is not None or self.ir is not None:
            report["images"] = examine_pairs(self._pairing(), limit=self.limit)
        problems = [*report["problems"], *report.get("images", {}).get("problems", [])]
        print(json.dumps(report, indent=1) if self.json else _as_text(report))
        if problems:
            raise SomeFailedError(f"{counted(len(problems), 'thing')} to look at, listed above.")

    def _pairing(self):
        from camfuse_jax.data.pairs import find_pairing
        from camfuse_jax.data.tables import read_table

        if self.csv is not None:
            return read_table(self.csv)
        assert self.ir is not None
        pairing = find_pairing(self.ir, self.vis, pattern=self.pattern)
        why = pairing.why_nothing.replace(": camfuse fuse ", ": camfuse doctor ")
        return dataclasses.replace(pairing, why_nothing=why)


def _as_text(report: dict) -> str:
    lines = [f"{name}: {value}" for name, value in report["versions"].items()]
    lines += [f"device: {device}" for device in report["devices"]]
    lines += [f"weights {name}: {state}" for name, state in report["weights"].items()]
    if report["frame_ms"] is not None:
        lines.append(f"one 640 x 480 frame: {report['frame_ms']} ms (first call {report['first_call_s']} s)")
    lines += [f"problem: {problem}" for problem in report["problems"]]
    images = report.get("images")
    if images is not None:
        lines.append(f"pairs: {images['pairs']}, content examined of {images['examined']}")
        lines += [f"problem: {problem}" for problem in images["problems"]] or ["nothing wrong found"]
        lines += [f"note: {note}" for note in images["notes"]]
    return "\n".join(lines)
