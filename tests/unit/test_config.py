"""Configurations: defaults as the paper prints them, JSON round trip, unknown names refused."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camfuse_jax.config import (
    PRESETS,
    AutoencoderConfig,
    ClassifierConfig,
    Config,
    Modality,
    NetConfig,
    from_json,
    recipe,
    to_json,
)
from camfuse_jax.errors import UsageError


def test_modality_orders_rows():
    assert [(m.name, m.value) for m in Modality] == [("IR", 0), ("VIS", 1)]


def test_defaults_are_the_papers_where_it_gives_numbers():
    config = Config()
    assert config.net.encoder_widths == (16, 32, 64, 128, 128)
    assert config.net.decoder_widths == (128, 64, 32, 16)
    assert config.net.strides == (1, 2, 1, 2, 1, 2)
    assert config.net.branches == 4
    assert config.ae.ssim_weight == 100
    assert (config.cls.distance_weight, config.cls.distance_from_epoch, config.cls.epochs) == (3, 20, 30)
    assert (config.ae.batch_size, config.ae.crop) == (16, 256)


def test_configs_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().seed = 1


configs = st.builds(
    Config,
    net=st.builds(
        NetConfig,
        encoder_widths=st.lists(st.integers(1, 512), min_size=5, max_size=5).map(tuple),
        phase_bias=st.booleans(),
        margin=st.sampled_from([0, 4, 8]),
        init=st.sampled_from(["lapped", "he"]),
    ),
    ae=st.builds(AutoencoderConfig, learning_rate=st.floats(1e-9, 1), schedule=st.just("constant")),
    cls=st.builds(ClassifierConfig, distance_weight=st.floats(0, 1e6), augment=st.booleans()),
    seed=st.integers(0, 2**31 - 1),
)


@given(configs)
def test_json_round_trip(config):
    text = to_json(config)
    again = from_json(Config, text)
    assert again == config
    assert isinstance(again.net.encoder_widths, tuple)
    assert hash(again) == hash(config)
    assert to_json(again) == text


def test_absent_fields_keep_their_defaults():
    assert from_json(Config, '{"cls": {"epochs": 3}}') == Config(cls=ClassifierConfig(epochs=3))
    assert from_json(Config, "{}") == Config()


@pytest.mark.parametrize(
    ("values", "where", "cls"),
    [
        ({"sed": 1}, "Config has no field sed", Config),
        ({"net": {"width": 1}}, "Config.net has no field width", NetConfig),
        ({"ae": {"ssim_weight": 1, "lam": 1, "alpha": 2}}, "Config.ae has no field alpha, lam", AutoencoderConfig),
        ({"cls": {"photos": 1}}, "Config.cls has no field photos", ClassifierConfig),
    ],
)
def test_unknown_names_are_refused_with_the_list_of_fields(values, where, cls):
    with pytest.raises(UsageError) as caught:
        from_json(Config, json.dumps(values))
    assert caught.value.what == f"{where}."
    assert caught.value.remedy == f"Fields are: {', '.join(f.name for f in dataclasses.fields(cls))}."
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(("text", "where"), [("[]", "Config"), ("3", "Config"), ('{"net": []}', "Config.net")])
def test_what_is_not_an_object_is_refused(text, where):
    with pytest.raises(UsageError, match=f"^{where} must be an object"):
        from_json(Config, text)


@pytest.mark.parametrize("text", ["", "{", '{"seed": 1'])
def test_damaged_text_is_refused(text):
    with pytest.raises(UsageError, match="Config"):
        from_json(Config, text)


def test_settings_that_came_later_are_no_part_of_older_checkpoints_until_they_are_used():
    assert not {"mixtures", "channel_gains"} & recipe(AutoencoderConfig()).keys()
    assert recipe(AutoencoderConfig(mixtures=0.25))["mixtures"] == 0.25
    assert "strip" not in recipe(ClassifierConfig())
    assert recipe(ClassifierConfig(strip=True))["strip"] is True
    assert "log_every" not in recipe(ClassifierConfig())


def test_the_learned_preset_is_the_papers_network_with_a_learning_rate():
    config, printed = PRESETS["learned"](), PRESETS["paper"]()
    assert dataclasses.replace(config.net, margin=0) == printed.net
    assert (config.net.margin, config.net.init, config.net.phase_bias) == (4, "he", False)
    ae = config.ae
    assert (ae.epochs * ae.steps_per_epoch, ae.batch_size, ae.crop, ae.mixtures) == (15_000, 16, 96, 0.25)
    assert (ae.schedule, ae.learning_rate, ae.clip) == ("onecycle", 1e-3, 1.0)


@pytest.mark.parametrize("name", ["mixtures", "channel_gains"])
def test_shares_of_a_batch_are_at_most_half(name):
    for share in (-0.1, 0.6):
        with pytest.raises(UsageError, match=f"ae.{name}"):
            AutoencoderConfig(**{name: share})
