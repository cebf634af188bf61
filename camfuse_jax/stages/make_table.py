"""Stage `table`: Table 1 (TNO) or Table 2 (RoadScene) beside our own measurements."""

import sys
from collections.abc import Sequence
from pathlib import Path

from camfuse_jax import fusion
from camfuse_jax.errors import ResourceError, UsageError
from camfuse_jax.metrics import PAPER_METRICS, score_folders, write_tables
from camfuse_jax.metrics.published import EXTRA_KEYS, PUBLISHED
from camfuse_jax.report.paper_table import paper_table
from camfuse_jax.report.table_formats import table_csv, table_json, table_latex, table_markdown
from camfuse_jax.stages.places import Places
from camfuse_jax.stages.scoring import OURS, choose_weights, folders_or_peers, fuse_pairs

MORE_METRICS = ("Qabf", "MI")
"""With `--metrics all`: one metric that averaging does not win, and one that copying wins."""


def make_table(
    places: Places,
    *,
    out: Path | None = None,
    weights: str | None = None,
    others: Sequence[str] = (),
    metrics: str = "paper",
    protocol: str = "paper",
) -> None:
    """Prints the table and writes it as `tableN.md`, `.csv`, `.json` and `.tex`.

    The per-image scores of every row scored here go to `scores/`, our fused images to `camfuse/`.

    Args:
        places: Folders and data set, `tno` or `roadscene`.
        out: Where to write; `WORKDIR/table-DATASET` by default.
        weights: As for `load_params`; by default the workdir's own, else the shipped ones.
        others: `NAME=DIR` of other methods' fused images; by default the methods under CAMFUSE_PEERS, if that is set.
        metrics: `paper` for the paper's five columns and the noise estimate; `all` adds Qabf, MI and, on RoadScene,
            the definitions that the paper's numbers seem to follow there.
        protocol: Definitions for the rows scored here.

    Raises:
        UsageError: A data set of which the paper has no table.
        ResourceError: If the folder cannot be written.
    """
    if places.dataset not in PUBLISHED:
        raise UsageError(
            f"The paper has no table of {places.label}.", f"Give {' or '.join(PUBLISHED)}, or use --stage eval."
        )
    folders = folders_or_peers(others, places.dataset)
    chosen = choose_weights(places, weights)
    params = fusion.load_params(chosen)
    pairs = places.pairs("test").cached()
    out = out or places.workdir / f"table-{places.label}"
    more = (*MORE_METRICS, *EXTRA_KEYS[places.dataset]) if metrics == "all" else ()
    keys = (*PAPER_METRICS, *more, "NOISE")
    fused = fuse_pairs(params, pairs, out)
    tables = score_folders(list(pairs), folders, others={OURS: fused}, metrics=keys, protocol=protocol)
    files = write_tables(tables, out / "scores", against=OURS, title="all")
    table = paper_table(tables, dataset=places.dataset, ours=OURS, weights=chosen)
    stem = f"table{table.number}"
    formats = {"md": table_markdown, "csv": table_csv, "json": table_json, "tex": table_latex}
    texts = {out / f"{stem}.{ending}": write(table) for ending, write in formats.items()}
    _write(texts)
    print(texts[out / f"{stem}.md"])
    print("\n".join(f"wrote {path}" for path in (*texts, *files)), file=sys.stderr)


def _write(texts: dict[Path, str]) -> None:
    try:
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ResourceError(f"Cannot write {path}: {error.strerror}.", "Check rights and free space.") from error
