"""Names of the command: all are listed, and wrong ones are refused."""

import dataclasses
import re

import pytest
from command_line import refused

from camfuse_jax.config import Config


def _options(cls, prefix=""):
    for field in dataclasses.fields(cls):
        if dataclasses.is_dataclass(field.type):
            yield from _options(field.type, f"{prefix}{field.name}.")
        else:
            yield f"--{prefix}{field.name.replace('_', '-')}"


def test_help_lists_every_option(run, tmp_path):
    done = run("--help-all", cwd=tmp_path)
    assert done.returncode == 0
    own = [
        "--stage",
        "--preset",
        "--dataset",
        "--workdir",
        "--data",
        "--ir",
        "--vis",
        "--out",
        "--weights",
        "--fused",
        "--to",
        "--bench.sizes",
    ]
    listed = [*_options(Config), *own]
    assert len(listed) > 40
    assert [name for name in listed if not re.search(rf"{re.escape(name)}(?![-\w.])", done.stdout)] == []
    for text in (
        "{data,ae,cls,fuse,eval,table,figures,report,ablate,export,convert,parity,bench,all}",
        "{default,fast,paper,learned,ablation,reproduction,tiny}",
    ):
        assert text in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("--stage", "fuse", "--ae.croop", "3"),
        ("--stage", "train"),
        ("--stage", "fuse", "--preset", "huge"),
        ("--stage", "ae", "--ae.crop", "many"),
        (),
    ],
    ids=" ".join,
)
def test_wrong_names_are_refused(run, tmp_path, arguments):
    refused(run(*arguments, cwd=tmp_path), 2)
    assert list(tmp_path.iterdir()) == []
