"""All entries. A new list: a module with `MUTATIONS` beside this file, and its name here."""

from mutation import (
    checks,
    commands,
    files,
    fusion,
    images,
    learning,
    metrics,
    outputs,
    page,
    pairing,
    paper,
    report,
    video,
)

MUTATIONS = [
    *metrics.MUTATIONS,
    *report.MUTATIONS,
    *paper.MUTATIONS,
    *learning.MUTATIONS,
    *images.MUTATIONS,
    *files.MUTATIONS,
    *fusion.MUTATIONS,
    *pairing.MUTATIONS,
    *video.MUTATIONS,
    *page.MUTATIONS,
    *commands.MUTATIONS,
    *outputs.MUTATIONS,
    *checks.MUTATIONS,
]
