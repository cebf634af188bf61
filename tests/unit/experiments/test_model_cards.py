"""Each weights file has a card in the form that model hubs show, made from `cards.json`."""

import json

import ship_weights

CARDS = json.loads((ship_weights.WEIGHTS / "cards.json").read_text(encoding="utf-8"))


def test_each_weights_file_has_its_card():
    assert {path.stem for path in ship_weights.WEIGHTS.glob("*.safetensors")} == set(CARDS)
    for name, card in CARDS.items():
        text = (ship_weights.WEIGHTS / f"{name}.md").read_text(encoding="utf-8")
        assert text == ship_weights.model_card(name, card), "run ship_weights.write_model_cards()"


def test_a_card_says_what_a_hub_and_a_reader_need(tmp_path):
    (tmp_path / "cards.json").write_text(json.dumps({"mine": CARDS["tno"]}), encoding="utf-8")
    ship_weights.write_model_cards(tmp_path)
    text = (tmp_path / "mine.md").read_text(encoding="utf-8")
    header = text.split("---\n")[1]
    assert "license: apache-2.0" in header
    assert "library_name: camfuse_jax" in header
    for wanted in ('load_params("mine")', CARDS["tno"]["sha256"], CARDS["tno"]["limits"], "| VIF |", "## Limits"):
        assert wanted in text
