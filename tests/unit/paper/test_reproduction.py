"""The table of docs/reproduction.md: its rows are what their names say, and its sentences follow from its numbers."""

import dataclasses
import json
import math

import numpy as np
import pytest
from paper import ablation_heads, reproduction, reproduction_scores
from paper.published import PUBLISHED
from paper.reproduction import reproduce
from paper.reproduction_page import with_tables
from paper.reproduction_scores import (
    EQUAL,
    KEYS,
    NONE,
    READINGS,
    SHUFFLED,
    SWAPPED,
    TRAINED,
    UNTRAINED,
    Row,
    block_weights,
    controls,
    fuse_rows,
    score_block,
)
from paper.reproduction_table import RETRAINED, WITHOUT_LDF, Result, distance, duel, reproduction_markdown, sentences
from small_nets import small_params

from camfuse_jax.config import PRESETS, FusionConfig
from camfuse_jax.data.records import Workdir
from camfuse_jax.errors import UsageError
from camfuse_jax.fusion.fuse import fuse_arrays
from camfuse_jax.fusion.params import save_params
from camfuse_jax.images.write import write_picture


def _pairs(count=2):
    images = np.random.default_rng(0).integers(0, 256, (count, 2, 48, 56), dtype=np.uint8)
    images[:, 0, 18:32, 20:34] = 255
    return [(f"p{i}", *images[i]) for i in range(count)]


@pytest.fixture(scope="module")
def block():
    return controls("tiny", small_params())


def test_trained_rows_are_what_the_rules_of_the_package_give(block):
    _, ir, vis = _pairs(1)[0]
    fused = fuse_rows(block, ir, vis)
    assert len(fused) == len(READINGS) * 9 + 3
    expected = {
        Row("tiny", "eq5-pooled", TRAINED): FusionConfig(rule="eq5-pooled"),
        Row("tiny", "eq5-contribution, brightness kept", TRAINED): FusionConfig("eq5-contribution", brightness="kept"),
    }
    for row, config in expected.items():
        whole = np.asarray(fuse_arrays(block.params.replace(fusion=config), ir, vis))
        assert np.abs(fused[row, 0].astype(int) - whole).max() <= 1, row


def test_controls_are_what_their_names_say(block):
    rng = np.random.default_rng(1)
    pooled = rng.uniform(0, 2, (4, 2, 6))
    rows = block_weights(block, pooled)
    for reading in READINGS:
        of = {(row.head, seed): weights for (row, seed), weights in rows.items() if row.reading == reading.name}
        own = of[TRAINED, 0]
        np.testing.assert_allclose(of[EQUAL, 0], np.full((2, 6), own.mean()), rtol=1e-6)
        np.testing.assert_array_equal(of[SWAPPED, 0], own[::-1])
        for seed in range(3):
            np.testing.assert_array_equal(np.sort(of[SHUFFLED, seed]), np.sort(own))
            assert set(map(tuple, of[SHUFFLED, seed].T)) == set(map(tuple, own.T))
        assert len({of[UNTRAINED, seed].tobytes() for seed in range(3)}) == 3
    head = np.asarray(block.params.class_weights, np.float64)
    eq3 = 0.5 + 0.5 * np.tanh(head * pooled[0])
    np.testing.assert_allclose(rows[Row("tiny", "eq5-contribution", TRAINED), 0], eq3, rtol=1e-5)
    scaled = 0.5 + 0.5 * np.tanh(pooled[2] * pooled[0].mean() / pooled[2].mean())
    np.testing.assert_allclose(rows[Row("tiny", "eq5-pooled", UNTRAINED), 1], scaled, rtol=1e-5)


def test_a_stopped_run_goes_on_and_damage_is_noticed(block, tmp_path, monkeypatch, capsys):
    calls = []
    own = reproduction_scores.score_methods
    monkeypatch.setattr(reproduction_scores, "score_methods", lambda *a, **s: calls.append(len(a[0])) or own(*a, **s))
    small, row = block._replace(heads=block.heads[:2], classifiers=block.classifiers[:1]), Row("tiny", "eq5", TRAINED)
    monkeypatch.setattr(
        reproduction_scores, "fuse_rows", lambda block, ir, vis, buckets: {(row, 0): vis // 2 + ir // 2}
    )
    monkeypatch.setattr(reproduction_scores, "pointing", lambda *a, **s: {"CAM": 0.5, "area": 0.25})
    first = list(score_block(small, _pairs(), tmp_path))
    assert sum(calls) == 2
    assert list(score_block(small, _pairs(), tmp_path)) == first
    assert sum(calls) == 2
    assert first[0].pointing == {"CAM": 0.5, "area": 0.25}
    assert first[0].scores[row, 0]["EN"] > 0
    path = sorted(tmp_path.iterdir())[0]
    path.write_text(path.read_text().replace('"EN": ', '"EN": 1', 1))
    assert list(score_block(small, _pairs(), tmp_path)) == first
    assert sum(calls) == 3
    assert "damaged" in capsys.readouterr().err
    list(score_block(small._replace(plain=False), _pairs(1), tmp_path))
    assert sum(calls) == 4


def _means(**values):
    return {**dict.fromkeys(KEYS, 0.5), **values}


def _result(trained, more=()):
    rows = {}
    for reading in READINGS:
        rows[Row("lapped", reading.name, TRAINED)] = [_means(**trained)]
        rows[Row("lapped", reading.name, EQUAL)] = [_means(VIF=0.6, Qabf=0.4)]
        rows[Row("lapped", reading.name, SHUFFLED)] = [_means(VIF=v, Qabf=0.4) for v in (0.58, 0.60, 0.62)]
    rows[Row("lapped", "l1-norm", NONE)] = [_means(EN=7.0, AG=3.0, SCD=1.6, VIF=0.5)]
    return Result("tno", 25, {**rows, **dict(more)}, {}, 0)


def test_a_head_wins_only_by_more_than_the_spread():
    reading = READINGS[0].name
    differences, verdict = duel(_result({"VIF": 0.7, "Qabf": 0.5}), "lapped", reading)
    assert differences["VIF"] == pytest.approx((0.1, 0.1, 0.02))
    assert verdict == "ahead"
    assert duel(_result({"VIF": 0.61, "Qabf": 0.5}), "lapped", reading)[1] == "neither"
    assert duel(_result({"VIF": 0.5, "Qabf": 0.3}), "lapped", reading)[1] == "behind"


def test_the_distance_to_the_printed_row_by_hand():
    table = PUBLISHED["tno"]
    printed = {key: float(digits) for key, digits in table.printed(table.own).items()}
    assert distance("tno", {**printed, "Qabf": None}) == 0
    spread = np.std([float(table.printed(method)["EN"]) for method in table.rows], ddof=1)
    assert distance("tno", {**printed, "EN": printed["EN"] + spread}) == pytest.approx(1 / 5)
    own = {key: float(digits) for key, digits in PUBLISHED["roadscene"].printed(table.own).items()}
    assert distance("roadscene", {**own, "AG": 0.0, "SSIM": 0.0}) == 0
    assert distance("toy", _means()) is None


def test_sentences_follow_from_the_numbers():
    text = " ".join(sentences(_result({"VIF": 0.7, "Qabf": 0.5, "EN": 7.3, "AG": 4.1, "SCD": 1.9})))
    assert "under 6 of 6 readings (eq5; eq5, brightness kept;" in text
    assert "behind both in both under 0." in text
    assert "as in the paper's Table 3, is the trained head under 6 of 6" in text
    text = " ".join(sentences(_result({"VIF": 0.4, "Qabf": 0.1, "EN": 7.3})))
    assert "under 0 of 6 readings, and behind both in both under 6 (" in text
    assert "is the trained head under no reading; eq5 is ahead in EN." in text
    heads = {RETRAINED: [_means(VIF=0.5), _means(VIF=0.54)], WITHOUT_LDF: [_means(VIF=0.5), _means(VIF=0.5)]}
    rows = {Row("lapped", "eq5", head): found for head, found in heads.items()}
    assert "eq5 +0.0200 (± 0.0283) in VIF, +0.0000 (± 0.0000) in Qabf." in " ".join(sentences(_result({}, rows)))


def test_the_table_has_the_printed_rows_above_ours():
    lines = reproduction_markdown(_result({})).splitlines()
    assert lines[2].startswith("| *printed* | auto-encoder and l1-norm rule | | 6.9602 | 3.0204 |")
    assert any(
        line.startswith("| *printed* | Wan et al. (the paper) |") and line.endswith("| 0.00 |") for line in lines
    )
    assert any(line.startswith("| lapped | eq5 | shuffled (3 seeds) |") and "0.6000 ± 0.0200" in line for line in lines)


def _dataset(folder):
    for name, *both in _pairs():
        for kind, image in zip(("ir", "vis"), both, strict=True):
            write_picture(folder / kind / f"{name}.png", image)
    (folder / "splits.json").write_text('{"train": ["p0"], "test": ["p0", "p1"]}')
    return folder


def test_heads_trained_with_and_without_the_distance_loss_are_rows(tmp_path, monkeypatch):
    trained = []

    def train(config, workdir, autoencoder, *, folder, identity):
        trained.append((config.cls.distance_weight, config.seed))
        return small_params(config.net, seed=len(trained), fusion=config.fusion)

    monkeypatch.setattr(ablation_heads, "train_head", train)
    workdir = Workdir(tmp_path, str(_dataset(tmp_path / "toy")))
    block = reproduction._retrained(PRESETS["reproduction"](), workdir, small_params(), tmp_path / "heads", 2)
    assert trained == [(0.3, 0), (0.3, 1), (0.0, 0), (0.0, 1)]
    assert [(head.name, head.seed) for head in block.heads] == [
        *((RETRAINED, seed) for seed in range(2)),
        *((WITHOUT_LDF, seed) for seed in range(2)),
    ]
    rows = block_weights(block, np.ones((4, 2, 6)))
    assert len(rows) == 4 * len(READINGS)
    for index, head in enumerate(block.heads):
        expected = small_params(seed=1 + index).channel_weights
        np.testing.assert_allclose(rows[Row("shallow", "eq5", head.name), head.seed], expected, rtol=1e-6)


def test_the_stage_scores_learned_features_where_there_are_some(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(reproduction, "keep_compiled", lambda folder: None)  # a setting of the process
    lapped = dataclasses.replace(small_params().net, init="lapped")
    monkeypatch.setattr(reproduction, "load_params", lambda name: files[str(name)])
    files = {"fast": small_params(seed=1), "tno": small_params(seed=2), "mine": small_params(seed=3)}
    files["shipped"] = files["tno"].replace(net=lapped)
    workdir = Workdir(tmp_path, str(_dataset(tmp_path / "toy")))
    reproduce(PRESETS["reproduction"](), workdir, out=tmp_path / "out")
    text = capsys.readouterr().out
    assert "learned: not finished yet" in text
    assert "| learned |" not in text and "nan" not in text
    reproduce(PRESETS["reproduction"](), workdir, out=tmp_path / "out", weights="mine")
    found = capsys.readouterr()
    assert found.err.count("reproduction: learned, 2 of 2") == 1 and "shallow" not in found.err
    assert found.out.count("| learned | eq5 |") == 5 + 1
    assert (tmp_path / "out" / "reproduction.md").read_text().strip() == found.out.strip()
    kept = json.loads((tmp_path / "out" / "reproduction.json").read_text())
    assert all(math.isfinite(means["VIF"]) for row in kept["rows"] for means in row["means"])
    assert kept["pointing"].keys() == {"shallow", "lapped", "learned"}
    with pytest.raises(UsageError, match="not learned"):
        reproduce(PRESETS["reproduction"](), workdir, out=tmp_path / "out", weights="shipped")
    workdir.trained.parent.mkdir(parents=True)
    save_params(workdir.trained, files["shipped"])
    files[str(workdir.trained)] = files["shipped"]
    assert reproduction._learned(workdir, None) is None
    files[str(workdir.trained)] = files["mine"]
    assert reproduction._learned(workdir, None) is files["mine"]


def test_tables_replace_what_the_page_had():
    page = "a\n<!-- table: tno -->\nold\n<!-- end of table -->\nb\n"
    once = with_tables(page, {"tno": "| new |\n"})
    assert once == "a\n<!-- table: tno -->\n\n| new |\n\n<!-- end of table -->\nb\n"
    assert with_tables(once, {"tno": "| new |"}) == once
    with pytest.raises(UsageError, match="no place"):
        with_tables(page, {"roadscene": ""})
