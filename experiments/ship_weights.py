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

from camfuse_jax.config import FusionConfig
from camfuse_jax.fusion.params import load_params, save_params

LIMITS = (
    "Registered pairs only. The classifier knows the cameras of its training lists: on others it may be wrong, and "
    "with it the class maps. See docs/method.md, section 6."
)
PAPER_RULE = (
    "The paper's own rule on features learned from a random start, for comparisons; `fast` gives the better picture. "
    "See docs/reproduction.md."
)
WEIGHTS = pathlib.Path(__file__).parent.parent / "camfuse_jax" / "weights"


def training_log(folder: pathlib.Path) -> dict[str, float]:
    """Steps and last losses of a stage."""
    return json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])


def _minutes(log: dict[str, float], batch: int = 16) -> str:
    return f"{log['step'] * batch / log['images_per_second'] / 60:.0f} min"


def autoencoder_parts(
    workdir: pathlib.Path, config: dict[str, Any], former: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, float]]:
    """Recipe and last losses of the auto-encoder: the workdir's, or those of the shipped one that was trained upon."""
    if "sha256" not in config["ae"]:
        return config["ae"], training_log(workdir / "ae")
    if (workdir / "ae" / "config.json").is_file():
        return json.loads((workdir / "ae" / "config.json").read_text()), training_log(workdir / "ae")
    return former["recipe"]["ae"], former["training"]["ae"]


def list_scores(workdir: pathlib.Path) -> dict[str, Any]:
    """Mean scores of each list that the workdir has scored, and what was measured of the networks there."""
    found = {}
    for folder in sorted(workdir.glob("eval-*"), reverse=True):
        table = json.loads((folder / "camfuse.json").read_text())
        networks = (folder / "networks.md").read_text()
        found[folder.name.removeprefix("eval-")] = {
            "protocol": table["stamp"]["protocol"],
            "mean": table["mean"],
            "networks": networks,
        }
    return found


def make_card(
    workdir: pathlib.Path, scored: pathlib.Path, dataset: str, sha256: str, former: dict[str, Any], fusion: FusionConfig
) -> dict[str, object]:
    """What travels with the weights; `former` is the card they had, `fusion` the rule they are used with."""
    stage = workdir / f"cls-{dataset}"
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
            "ae": "8,000 photographs (COCO first, docs/datasets.md)"
            + (" and the train lists of TNO and RoadScene" if ae_recipe["ae"]["pair_images"] else ""),
            "cls": "the train lists of both data sets in one folder"
            if dataset == "both"
            else f"the train list of {dataset}",
        },
        "training": {"ae": ae_log, "cls": training_log(stage)},
        "fusion": dataclasses.asdict(fusion),
        "cost": f"auto-encoder {_minutes(ae_log)}, classifier {_minutes(training_log(stage))}, by the rates at their "
        "end, on two processor threads, no GPU",
        "limits": LIMITS if fusion.rule == "spatial" else f"{PAPER_RULE} {LIMITS}",
        "scores": list_scores(scored),
    }


def model_card(name: str, card: dict[str, Any]) -> str:
    """The card in the form that model hubs show: a header for machines, then text."""
    net = card["recipe"]["ae"]["net"]
    scores, fusion = card["scores"], card["fusion"]
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
            *(line for name, one in scores.items() for line in _score_lines(name, one)),
            "## End of training",
            "",
            *losses,
            "",
        ]
    )


def _score_lines(dataset: str, scores: dict[str, Any]) -> list[str]:
    rows = [f"| {name} | {'n/a' if value is None else f'{value:.4f}'} |" for name, value in scores["mean"].items()]
    head = [
        f"## Scores on the test list of {dataset}, protocol {scores['protocol']}",
        "",
        "| metric | mean |",
        "|---|---|",
    ]
    return [*head, *rows, "", scores["networks"].strip(), ""]


def write_model_cards(folder: pathlib.Path = WEIGHTS) -> None:
    """Writes NAME.md beside each weights file from `cards.json`."""
    for name, card in json.loads((folder / "cards.json").read_text(encoding="utf-8")).items():
        (folder / f"{name}.md").write_text(model_card(name, card), encoding="utf-8")


def main() -> None:
    """Copies weights and writes `cards.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workdir", type=pathlib.Path)
    parser.add_argument("names", nargs="+", help="DATASET, or DATASET=NAME for weights with a name of their own")
    parser.add_argument("--scored", type=pathlib.Path, help="workdir with eval-*; default: the same")
    parser.add_argument("--keep", action="store_true", help="leave the weights as they are and renew the scores")
    arguments = parser.parse_args()
    path = WEIGHTS / "cards.json"
    cards = json.loads(path.read_text()) if path.exists() else {}
    scored = arguments.scored or arguments.workdir
    for entry in arguments.names:
        dataset, _, name = entry.partition("=")
        name = name or dataset
        if arguments.keep:
            fusion = dataclasses.asdict(load_params(name).fusion)
            cards[name] = {**cards[name], "fusion": fusion, "scores": list_scores(scored)}
            continue
        target = WEIGHTS / f"{name}.safetensors"
        params = load_params(arguments.workdir / f"cls-{dataset}" / "params.safetensors")
        # The settings of today; features from a random start are for the rule that they were trained for.
        fusion = FusionConfig() if params.net.init == "lapped" else params.fusion
        save_params(target, dataclasses.replace(params, fusion=fusion))
        sha256 = hashlib.sha256(target.read_bytes()).hexdigest()
        cards[name] = make_card(arguments.workdir, scored, dataset, sha256, cards.get(name, {}), fusion)
        print(f"{target.name}: {target.stat().st_size / 1e6:.1f} MB, sha256 {sha256}")
    path.write_text(json.dumps(cards, indent=1) + "\n")
    write_model_cards()


if __name__ == "__main__":
    main()
