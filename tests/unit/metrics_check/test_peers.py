"""Published fused images must get the printed scores (docs/metrics.md, agreement)."""

import os
from pathlib import Path

import pytest
from metrics_check.agreement import agreement, agreement_markdown, peer_agreement, printed_like, reference_row

from camfuse_jax.data.splits import image_files, pairs_of_split
from camfuse_jax.metrics.table import score

FAST = ("EN", "AG", "SCD", "SF", "SD", "CC", "PSNR")


@pytest.fixture(scope="module")
def peers(data_root):
    named = os.environ.get("CAMFUSE_PEERS")
    folder = Path(named) if named else data_root.parent / "peers"
    if not folder.is_dir():
        pytest.skip(f"no published fused images: CAMFUSE_PEERS is {named!r} and there is no {folder}")
    return folder


def assert_printed(table, dataset, keys):
    expected = reference_row(dataset, table.method)
    assert {key: printed_like(table.mean(key), expected[key]) for key in keys} == {key: expected[key] for key in keys}


def test_one_method_gets_its_printed_scores(data_root, peers):
    fused = image_files(peers / "MMDRFuse" / "tno")
    assert_printed(
        score(pairs_of_split(data_root / "tno", "test"), fused, metrics=FAST, method="MMDRFuse"), "tno", FAST
    )


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["tno", "roadscene"])
def test_all_methods_get_their_printed_scores(data_root, peers, dataset):
    rows = peer_agreement(dataset, pairs_of_split(data_root / dataset, "test"), peers)
    assert len(rows) == {"tno": 7, "roadscene": 6}[dataset]
    assert all(row.difference == 0 for row in rows), agreement_markdown(rows)


def test_other_implementations_agree():
    pytest.importorskip("skimage")
    import numpy as np
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(0)
    scenes = np.clip(gaussian_filter(rng.uniform(0, 255, (2, 181, 190)), (0, 2, 2)) * 3 - 250, 0, 255)
    reference, other = np.rint(scenes).astype(np.uint8)
    image = (reference // 2 + other // 2).astype(np.uint8)
    rows = agreement([(reference, image), (other, image)])
    assert {row.package for row in rows} == {"skimage", "piq"}
    assert all(row.holds for row in rows), agreement_markdown(rows)
    assert all(row.difference is not None for row in rows if row.package == "skimage")
