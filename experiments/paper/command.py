"""The stages of `experiments/run.py` that make the paper's tables, figures and ablation."""

from typing import Any


def table(options: Any) -> None:
    """Stage `table`: Table 1 or 2 beside our own measurements."""
    from paper.tables import make_table

    make_table(
        options.workdir_of_data,
        out=options.out,
        weights=options.weights,
        others=options.fused,
        metrics=options.metrics,
        protocol=options.protocol,
        rule=options.rule,
        settings=options.fusion,
    )


def figures(options: Any) -> None:
    """Stage `figures`: the paper's figures for one test pair, the channel weights and the training curves."""
    from paper.figures import make_figures

    make_figures(
        options.workdir_of_data,
        out=options.out,
        weights=options.weights,
        others=options.fused,
        image=options.image,
        zooms=options.zoom,
        sheet=options.sheet,
    )


def ablate(options: Any) -> None:
    """Stage `ablate`: Table 3 and the controls; with preset `reproduction` the table of docs/reproduction.md."""
    common = {"out": options.out, "weights": options.weights, "seeds": options.seeds}
    if options.preset == "reproduction":
        from paper.reproduction import reproduce

        reproduce(options.config, options.workdir_of_data, **common)
        return
    from paper.ablation import ablate as run

    run(options.config, options.workdir_of_data, rule=options.rule, **common)
