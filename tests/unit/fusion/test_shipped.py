"""The weights in the package: what their card says, whole, offline, and of use."""

import hashlib
import json
import re
import socket
from importlib import resources

import jax
import numpy as np
import pytest

from camfuse_jax import fuse, load_params
from camfuse_jax.config import NetConfig
from camfuse_jax.errors import CheckpointError
from camfuse_jax.fusion import params as module
from camfuse_jax.images.read import read_gray

NAMES = ("fast", "tno", "roadscene", "paper-tno", "paper-roadscene")
FOLDER = resources.files("camfuse_jax") / "weights"


def _cards():
    return json.loads((FOLDER / "cards.json").read_text())


def test_there_is_a_card_for_each_and_for_nothing_else():
    assert set(_cards()) == set(NAMES) == set(module.SHIPPED)


@pytest.mark.parametrize("name", NAMES)
def test_the_card_tells_where_the_weights_come_from(name):
    card = module.card(name)
    assert {"sha256", "recipe", "data", "seed", "commit", "scores"} <= set(card)
    assert all(card[key] not in (None, "", {}, []) for key in ("recipe", "data", "commit", "scores"))
    assert isinstance(card["seed"], int)
    assert re.fullmatch("[0-9a-f]{7,40}", card["commit"])


@pytest.mark.parametrize("name", NAMES)
def test_the_card_names_this_very_file(name):
    content = (FOLDER / f"{name}.safetensors").read_bytes()
    assert hashlib.sha256(content).hexdigest() == module.card(name)["sha256"]
    assert len(content) < 8_000_000


@pytest.mark.parametrize("name", NAMES)
def test_they_load_without_a_network(name, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    params = load_params(name)
    plain = {"init": "he", "phase_bias": False} if name.startswith("paper-") else {}
    assert params.net == NetConfig(kind="shallow" if name == "fast" else "deep", **plain)
    assert params.fusion.rule == ("eq5" if plain else "spatial")
    assert np.all((np.asarray(params.channel_weights) > 0) & (np.asarray(params.channel_weights) < 1))


def test_fast_is_the_default():
    jax.tree.map(np.testing.assert_array_equal, load_params(), load_params("fast"))


def test_damage_is_found_by_the_sha256(monkeypatch):
    card = {**module.card("tno"), "sha256": "0" * 64}
    monkeypatch.setattr(module, "card", lambda name: card)
    with pytest.raises(CheckpointError, match="shipped weights 'tno' are damaged"):
        load_params("tno")


@pytest.mark.parametrize("name", NAMES)
def test_the_demo_pair_becomes_an_image_full_of_information(name):
    ir, vis = (read_gray(FOLDER.parent / "demo" / f"{side}.png") for side in ("ir", "vis"))
    fused = np.asarray(fuse(load_params(name), ir, vis))
    assert fused.shape == ir.shape
    assert fused.dtype == np.uint8
    share = np.bincount(fused.ravel(), minlength=256) / fused.size
    entropy = -np.sum(share[share > 0] * np.log2(share[share > 0]))
    assert entropy > 6
    # Both bands left their mark.
    for source in (ir, vis):
        assert np.corrcoef(source.ravel(), fused.ravel())[0, 1] > 0.2
