"""Tries the mutations of this folder: `cd experiments && python -m mutation --out ../runs/mutation.jsonl`.

Works on a copy of the tree, so that the tree itself is never changed, and goes on where it was stopped: a result
counts as long as the change, its file and its tests are the same. `--only metrics/ssim` takes the entries whose file
holds that text. Prints what was noticed and what survived; ends with 1 if more than a tenth survives, or an entry is
stale (its text is gone or is there twice).
"""

import argparse
import collections
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mutation import lists
from mutation.trial import BROKEN, NOTICED, STALE, SURVIVED, Result, copy_tree, run_trials

ROOT = Path(__file__).parents[2]
MOST_SURVIVING = 0.1


def summary(results: Sequence[Result]) -> str:
    """Counts for each folder as a Markdown table, and every entry that was not noticed."""
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for result in results:
        counts["/".join(result.label.partition(":")[0].split("/")[:2])][result.outcome] += 1
    lines = ["| folder | tried | noticed | survived |", "|---|---:|---:|---:|"]
    for folder, count in sorted(counts.items()):
        lines.append(f"| {folder} | {count[NOTICED] + count[SURVIVED]} | {count[NOTICED]} | {count[SURVIVED]} |")
    total = sum(counts.values(), collections.Counter())
    lines.append(f"| all | {total[NOTICED] + total[SURVIVED]} | {total[NOTICED]} | {total[SURVIVED]} |")
    lines += [f"{result.outcome}: {result.label}" for result in results if result.outcome != NOTICED]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m mutation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "mutation.jsonl", help="file of the results")
    parser.add_argument("--only", default="", help="only entries whose file holds this text")
    parser.add_argument("--count", type=int, default=0, help="only the first entries; 0 means all")
    parser.add_argument("--list", action="store_true", help="only say which entries are stale")
    options = parser.parse_args(argv)
    chosen = [mutation for mutation in lists.MUTATIONS if options.only in mutation.file][: options.count or None]
    if options.list:
        stale = [m for m in chosen if not (f := ROOT / m.file).is_file() or f.read_text("utf-8").count(m.old) != 1]
        print(f"{len(chosen)} mutations, {len(stale)} stale", *(f"stale: {m.label}" for m in stale), sep="\n")
        return 1 if stale else 0
    results = []
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        copy_tree(ROOT, tree)
        for result in run_trials(chosen, tree, options.out.resolve()):
            results.append(result)
            print(f"{len(results)}/{len(chosen)} {result.outcome}: {result.label}", file=sys.stderr, flush=True)
    print(summary(results))
    outcomes = collections.Counter(result.outcome for result in results)
    tried = outcomes[NOTICED] + outcomes[SURVIVED]
    too_many = outcomes[SURVIVED] > MOST_SURVIVING * tried
    return 1 if too_many or outcomes[STALE] or outcomes[BROKEN] else 0


if __name__ == "__main__":
    sys.exit(main())
