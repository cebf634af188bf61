"""Puts a workdir's trained weights into the package, with their card; for maintainers.

`python experiments/ship_weights.py runs/default tno roadscene`, after `--stage all` of each data set in that workdir,
or after `--stage cls --autoencoder tno` and `--stage eval --metrics all` where the auto-encoder stays the shipped one.
"""

import argparse
import dataclasses
import hashlib
import json
import pathlib
import subprocess
from typing import Any

from camfuse_jax.fusion.params import load_params, save_params

LIMITS = (
    "Registered pairs only. The classifier knows the cameras of its training list: on others it may be wrong, and "
    "with it the heat maps. Noise of one image counts as detail where the other is flat. See docs/method.md, section 6."
)
WEIGHTS = pathlib.Path(__file__).parent.parent / "camfuse_jax" / "weights"


def training_log(folder: pathlib.Path) -> dict[str, float]:
    """Steps and last losses of a stage."""
    return json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])


def autoencoder_parts(
    workdir: pathlib.Path, config: dict[str, Any], former: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, float]]:
    """Recipe and last losses of the auto-encoder: the workdir's, or those of the shipped one that was trained upon."""
    if "sha256" not in config["ae"]:
        return config["ae"], training_log(workdir / "ae")
    return former["recipe"]["ae"], former["training"]["ae"]


def make_card(workdir: pathlib.Path, dataset: str, sha256: str, former: dict[str, Any]) -> dict[str, object]:
    """What travels with the weights; `former` is the card they had."""
    stage = workdir / f"cls-{dataset}"
    table = json.loads((workdir / f"eval-{dataset}" / "camfuse.json").read_text())
    commit = subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    config = json.loads((stage / "config.json").read_text())
    ae_recipe, ae_log = autoencoder_parts(workdir, config, former)
    return {
        "sha256": sha256,
        "commit": commit,
        "license": "Apache-2.0 (weights); the training photographs keep their owners' terms, see docs/datasets.md",
        "input": "luminance, float in [0, 1] or uint8 / uint16 over the whole range",
        "seed": config["ae"]["seed"],
        "recipe": {**config, "ae": ae_recipe},
        "data": {
            "ae": "8,000 photographs (COCO first, docs/datasets.md) and the train lists of TNO and RoadScene",
            "cls": f"the train list of {dataset}",
        },
        "training": {"ae": ae_log, "cls": training_log(stage)},
        "fusion": dataclasses.asdict(load_params(stage / "params.safetensors").fusion),
        "cost": "auto-encoder 27 minutes, classifier 4 to 15 minutes on two shared processor threads, no GPU",
        "limits": LIMITS,
        "scores": {
            "split": "test",
            "protocol": table["stamp"]["protocol"],
            "mean": table["mean"],
            "networks": (workdir / f"eval-{dataset}" / "networks.md").read_text(),
        },
    }


def model_card(name: str, card: dict[str, Any]) -> str:
    """The card in the form that model hubs show: a header for machines, then text."""
    net = card["recipe"]["ae"]["net"]
    scores, fusion = card["scores"], card["fusion"]
    columns = list(scores["mean"])
    row = (f"{value:.4f}" if value is not None else "n/a" for value in scores["mean"].values())
    losses = [
        f"- `{stage}`: " + ", ".join(f"{key} {value:g}" for key, value in log.items())
        for stage, log in card["training"].items()
    ]
    return "\n".join(
        [
            "---",
            "license: apache-2.0",
            "library_name: camfuse_jax",
            "pipeline_tag: image-to-image",
            "tags: [image-fusion, infrared, class-activation-mapping, jax, flax]",
            "---",
            "",
            f"# camfuse_jax weights `{name}`",
            "",
            "Fuses a registered infrared and visible image into one. Made by `experiments/ship_weights.py`.",
            "",
            "```python",
            "from camfuse_jax import fuse, load_params",
            "",
            f'fused = fuse(load_params("{name}"), ir, vis)',
            "```",
            "",
            "| | |",
            "|---|---|",
            f"| network | {net.get('kind', 'deep')}, {net['encoder_widths'][-1]} channels |",
            f"| fusion rule | {fusion['rule']} |",
            f"| input | {card['input']} |",
            f"| trained on | auto-encoder: {card['data']['ae']}; classifier: {card['data']['cls']} |",
            f"| cost of training | {card['cost']} |",
            f"| seed, commit | {card['seed']}, {card['commit']} |",
            f"| sha256 | {card['sha256']} |",
            f"| license | {card['license']} |",
            "",
            "## Limits",
            "",
            card["limits"],
            "",
            f"## Scores on the {scores['split']} list, protocol {scores['protocol']}",
            "",
            f"| {' | '.join(columns)} |",
            "|---" * len(columns) + "|",
            f"| {' | '.join(row)} |",
            "",
            scores["networks"].strip(),
            "",
            "## End of training",
            "",
            *losses,
            "",
        ]
    )


def write_model_cards(folder: pathlib.Path = WEIGHTS) -> None:
    """Writes NAME.md beside each weights file from `cards.json`."""
    for name, card in json.loads((folder / "cards.json").read_text(encoding="utf-8")).items():
        (folder / f"{name}.md").write_text(model_card(name, card), encoding="utf-8")


def main() -> None:
    """Copies weights and writes `cards.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workdir", type=pathlib.Path)
    parser.add_argument("datasets", nargs="+")
    arguments = parser.parse_args()
    path = WEIGHTS / "cards.json"
    cards = json.loads(path.read_text()) if path.exists() else {}
    for dataset in arguments.datasets:
        target = WEIGHTS / f"{dataset}.safetensors"
        params = load_params(arguments.workdir / f"cls-{dataset}" / "params.safetensors")
        save_params(target, params)
        sha256 = hashlib.sha256(target.read_bytes()).hexdigest()
        cards[dataset] = make_card(arguments.workdir, dataset, sha256, cards.get(dataset, {}))
        print(f"{target.name}: {target.stat().st_size / 1e6:.1f} MB, sha256 {sha256}")
    path.write_text(json.dumps(cards, indent=1) + "\n")
    write_model_cards()


if __name__ == "__main__":
    main()
