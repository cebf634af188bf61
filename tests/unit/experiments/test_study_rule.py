"""The study of the rule's settings: train lists only, spreads of what is on the same crops."""

import json

import numpy as np
import pytest
import study_rule
from small_nets import small_params

from camfuse_jax.images.write import write_picture
from camfuse_jax.metrics.table import BASELINES, score


@pytest.fixture(scope="module")
def pairs():
    rng = np.random.default_rng(3)
    return [(f"p{i}", *rng.integers(0, 256, (2, 44, 48), dtype=np.uint8)) for i in range(2)]


def test_no_test_pair_is_read_and_crops_are_the_middle(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    images = {name: rng.integers(0, 256, (2, 10, 12), dtype=np.uint8) for name in ("a", "b", "c", "small")}
    images["small"] = images["small"][:, :5]
    for name, both in images.items():
        for kind, image in zip(("ir", "vis"), both, strict=True):
            write_picture(tmp_path / kind / f"{name}.png", image)
    (tmp_path / "splits.json").write_text(json.dumps({"train": ["a", "b", "small"], "test": ["c"]}))
    monkeypatch.setattr(study_rule, "CROP", (6, 8))
    crops = study_rule.train_crops(str(tmp_path), tmp_path, tmp_path / "records", 10)
    assert sorted(name for name, *_ in crops) == ["a", "b"]
    for name, *both in crops:
        np.testing.assert_array_equal(both, images[name][:, 2:8, 2:10])
    assert len(study_rule.train_crops(str(tmp_path), tmp_path, tmp_path / "records", 1)) == 1


def test_a_row_adds_differences_in_units_of_the_spread(pairs):
    tables = [score(pairs, baseline, metrics=study_rule.KEYS, method=name) for name, baseline in BASELINES.items()]
    spread = study_rule.spreads(tables)
    assert spread["EN"] == pytest.approx(np.std([table.mean("EN") for table in tables], ddof=1))
    assert set(spread) == set(study_rule.SUMMED)
    expected = sum((tables[1].mean(key) - tables[0].mean(key)) / spread[key] for key in study_rule.SUMMED)
    row = study_rule.table_row(tables[1], tables[0], spread)
    assert row.startswith("| maximum | ") and row.endswith(f"| {expected:+.2f} |")
    assert row.count("|") == len(study_rule.KEYS) + 3
    assert study_rule.table_row(tables[0], tables[0], spread).endswith("| +0.00 |")


def test_every_row_comes_and_the_default_is_at_zero(pairs, monkeypatch):
    monkeypatch.setattr(study_rule, "RULES", ("mean", "max"))
    monkeypatch.setattr(study_rule, "SETTINGS", {"default": {}, "sharpness 0": {"sharpness": 0.0}})
    rows = {row.split(" | ")[0].strip("| "): row for row in study_rule.study(small_params(), pairs)}
    assert list(rows) == [*BASELINES, "mean", "max", "default", "sharpness 0"]
    assert rows["default"].endswith("| +0.00 |")
    assert rows["sharpness 0"].split(" | ")[1:-1] != rows["default"].split(" | ")[1:-1]


@pytest.mark.parametrize("which", [0, 1])
def test_noise_is_drawn_on_one_image_and_scored_against_the_clean_sources(pairs, monkeypatch, which):
    given = []
    # A "fusion" that hands the whole of the noisy image on, so that all of its noise arrives.
    monkeypatch.setattr(study_rule, "fuse", lambda params, *images: given.append(images) or images[which])
    row = study_rule.noise_row(None, pairs[:1], "some noise", which, lambda image: 10.0)
    clean, noisy = given
    np.testing.assert_array_equal(noisy[1 - which], pairs[0][2 - which])
    drawn = noisy[which].astype(float) - clean[which]
    assert 8 < drawn.std() < 11  # clipping takes a little
    expected = score(pairs[:1], {"p0": noisy[which]}, metrics=("SSIM", "VIF"), method="x")
    assert row == f"| some noise | {expected.mean('SSIM'):.3f} | {expected.mean('VIF'):.3f} | 1.00 |"
