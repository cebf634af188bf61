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


if __name__ == "__main__":
    main()
