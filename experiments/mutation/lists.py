"""All entries. A new list: a module with `MUTATIONS` beside this file, and its name here."""

from mutation import fusion, images, learning, metrics, paper, report

MUTATIONS = [
    *metrics.MUTATIONS,
    *report.MUTATIONS,
    *paper.MUTATIONS,
    *learning.MUTATIONS,
    *images.MUTATIONS,
    *fusion.MUTATIONS,
]
