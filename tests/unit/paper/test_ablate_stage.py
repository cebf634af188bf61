"""Stage ablate goes on where it was stopped: nothing is computed twice, and nothing stale is taken for a result."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from paper import ablation_heads, ablation_scores
from paper.ablation import ablate
from paper.ablation_heads import retrained
from paper.ablation_scores import Scorer
from small_nets import small_params

import camfuse_jax
from camfuse_jax.config import ClassifierConfig, Config
from camfuse_jax.data.records import Workdir
from camfuse_jax.fusion.params import save_params, with_rule
from camfuse_jax.images.write import write_picture


def _pairs(count=2, seed=0):
    images = np.random.default_rng(seed).integers(0, 256, (count, 2, 44, 48), dtype=np.uint8)
    return [(f"p{i}", *images[i]) for i in range(count)]


@pytest.fixture
def counted(monkeypatch):
    """How often a list was scored."""
    calls = []
    own = ablation_scores.score

    def score(*arguments, **settings):
        calls.append(settings["method"])
        return own(*arguments, **settings)

    monkeypatch.setattr(ablation_scores, "score", score)
    return calls


def test_scores_are_computed_once_and_come_back_to_the_digit(tmp_path, counted):
    params = small_params()
    first = Scorer(_pairs(), tmp_path)(params, name="a", classify=True)
    second = Scorer(_pairs(), tmp_path)(params, name="b", classify=True)
    assert counted == ["a"]
    assert second.table.method == "b"
    assert (second.table.rows, second.table.tag, second.right) == (first.table.rows, first.table.tag, first.right)
    assert first.table.rows["p0"].values["EN"] > 0


def test_other_weights_rules_sources_or_code_are_scored_anew(tmp_path, counted, monkeypatch):
    params = small_params()
    Scorer(_pairs(), tmp_path)(params, name="a", classify=False)
    Scorer(_pairs(), tmp_path)(with_rule(params, "mean"), name="rule", classify=False)
    head = {"kernel": params.classifier["head"]["kernel"] + 1}
    changed = params.replace(classifier={**params.classifier, "head": head})
    Scorer(_pairs(), tmp_path)(changed, name="weights", classify=False)
    Scorer(_pairs(seed=1), tmp_path)(params, name="sources", classify=False)
    monkeypatch.setattr(ablation_scores, "code_digest", lambda parts: "changed")
    Scorer(_pairs(), tmp_path)(params, name="code", classify=False)
    assert counted == ["a", "rule", "weights", "sources", "code"]


@pytest.mark.parametrize(
    ("parts", "roots"),
    [
        (ablation_heads.CODE, ["training/classifier.py"]),
        (ablation_scores.CODE, ["fusion/fuse.py", "metrics/protocol.py"]),
    ],
)
def test_the_digest_covers_all_code_that_changes_a_number(parts, roots):
    """A folder that is left out would let stale results pass for those of changed code."""
    package = Path(camfuse_jax.__file__).parent
    assert [part for part in parts if not (package / part).exists()] == []
    seen, left = set(), list(roots)
    while left:
        path = left.pop()
        seen.add(path)
        modules = re.findall(r"^(?:from|import) camfuse_jax\.([\w.]+)", (package / path).read_text(), re.M)
        files = {f"{module.replace('.', '/')}.py" for module in modules}
        left += [file for file in files - seen if (package / file).is_file()]
    numbers = {path for path in seen if not path.startswith(("errors", "cluster", "system/", "fusion/params"))}
    assert {path for path in numbers if not any(path == part or path.startswith(f"{part}/") for part in parts)} == set()


@pytest.mark.parametrize("damage", [lambda text: text[:-40], lambda text: text.replace('"EN": ', '"EN": 1', 1)])
def test_a_damaged_file_is_computed_again(tmp_path, counted, damage, capsys):
    params = small_params()
    first = Scorer(_pairs(), tmp_path)(params, name="a", classify=False)
    (kept,) = tmp_path.iterdir()
    kept.write_text(damage(kept.read_text()))
    assert Scorer(_pairs(), tmp_path)(params, name="a", classify=False).table.rows == first.table.rows
    assert counted == ["a", "a"]
    assert "damaged" in capsys.readouterr().err


def test_a_head_is_trained_once_for_its_recipe_and_seed(tmp_path, monkeypatch):
    trained = []

    def train(config, workdir, autoencoder, *, folder, identity):
        cls = config.cls
        trained.append((cls.distance_weight, cls.learning_rate, config.net.branches, config.seed, cls.start))
        return small_params(config.net, seed=len(trained), fusion=config.fusion)

    monkeypatch.setattr(ablation_heads, "train_head", train)
    ours, workdir = small_params(), Workdir(tmp_path, str(_dataset(tmp_path / "toy")))
    config = Config(cls=ClassifierConfig(distance_weight=0.3))
    rows = list(retrained(config, workdir, ours, tmp_path / "heads", seeds=3))
    assert len(trained) == len(set(trained)) == 18
    assert {row[0] for row in trained} == {0.0, 0.3, 3.0}
    assert {row[1] for row in trained} == {1e-3, 1e-6}
    assert [params.net.branches for params in rows[-2].params] == [1] * 3
    assert {row[4] for row in trained[-3:]} == {"he"}
    again = list(retrained(config, workdir, ours, tmp_path / "heads", seeds=3))
    assert len(trained) == 18
    for before, after in zip(rows, again, strict=True):
        for one, other in zip(before.params, after.params, strict=True):
            np.testing.assert_array_equal(one.class_weights, other.class_weights)
            assert other.fusion == ours.fusion
    monkeypatch.setattr(ablation_heads, "code_digest", lambda parts: "changed")
    list(retrained(config, workdir, ours, tmp_path / "heads", seeds=1))
    assert len(trained) == 24
    assert list(retrained(config, workdir, ours, tmp_path / "heads", seeds=0)) == []


@pytest.mark.slow
def test_the_stage_goes_on_without_training_or_scoring_twice(tmp_path, monkeypatch, capsys, counted):
    save_params(tmp_path / "small.safetensors", small_params())
    workdir = Workdir(tmp_path, str(_dataset(tmp_path / "toy")))
    monkeypatch.setattr("paper.ablation.keep_compiled", lambda folder: None)  # a setting of the process
    length = {"epochs": 1, "steps_per_epoch": 1, "batch_size": 8, "crop": 16, "stride": 16, "distance_from_epoch": 0}
    recipe = ClassifierConfig(**length, distance_weight=0.3, channel_size=0.0)
    settings = {"weights": str(tmp_path / "small.safetensors"), "seeds": 2, "out": tmp_path / "out"}
    ablate(dataclasses.replace(Config(), cls=recipe), workdir, **settings)
    text = capsys.readouterr().out
    assert (tmp_path / "out" / "ablation.md").read_text().strip() == text.strip()
    assert "retrained without L_df (2 seeds)" in text
    assert "nan" not in text
    count = len(counted)
    assert count == 23 + 12 + 12  # rows of one, of three draws, of two heads each
    monkeypatch.setattr(ablation_heads, "train_head", None)
    ablate(dataclasses.replace(Config(), cls=recipe), workdir, **settings)
    assert len(counted) == count
    assert capsys.readouterr().out == text


def _dataset(folder):
    for name, *both in _pairs(3):
        for kind, image in zip(("ir", "vis"), both, strict=True):
            write_picture(folder / kind / f"{name}.png", image)
    (folder / "splits.json").write_text('{"train": ["p0"], "test": ["p1", "p2"]}')
    return folder
