"""Scores that published fused images and the baselines must get: what an independent evaluator measured.

The evaluator had itself been checked against Tang's MATLAB results on 42 images by 9 methods and against CDDFuse's
Python code (docs/metrics.md). Values are as printed, so their decimals are the precision to be met.
"""

KEYS = ("EN", "AG", "SCD", "SSIM", "VIF", "SSIM2", "SF", "SD", "MI", "Qabf", "MS-SSIM", "CC", "PSNR")
"""Columns of the rows below. SCD of a single source is undefined, so the sources are no rows."""

REFERENCE_SCORES: dict[str, dict[str, str]] = {
    "tno": {
        "SHIP": "6.9472 4.8953 1.5490 0.6717 0.7752 0.9630 12.94 40.78 4.07 0.5790 0.6443 0.4805 13.46",
        "MMDRFuse": "7.0538 4.3795 1.7124 0.6848 0.7024 1.0011 11.35 41.00 2.95 0.4827 0.6683 0.5199 13.22",
        "SeAFusion": "7.1036 4.9602 1.7174 0.6741 0.6890 0.9879 12.41 44.20 2.88 0.5065 0.6601 0.5158 13.74",
        "U2Fusion": "6.8792 4.8428 1.7190 0.6768 0.5919 0.9845 11.71 35.72 2.08 0.4462 0.6839 0.5465 15.51",
        "average": "6.2329 2.6785 1.5414 0.7482 0.5727 1.0139 6.95 26.11 2.31 0.3564 0.7101 0.5648 16.40",
        "maximum": "6.8127 3.7883 1.5399 0.6907 0.9243 1.0002 10.06 40.01 6.80 0.5988 0.6427 0.4792 13.39",
        "contrast_preserving_sum": (
            "7.2282 5.0758 1.9499 0.6597 0.6768 0.9930 13.05 49.18 2.37 0.4813 0.6690 0.5573 13.20"
        ),
    },
    "roadscene": {
        "MMDRFuse": "7.2462 4.3607 1.7757 0.7207 0.6698 0.9698 11.65 47.23 3.42 0.4809 0.6292 0.5869 14.48",
        "SeAFusion": "7.4349 6.3081 1.7423 0.6646 0.6807 0.9200 16.21 54.15 3.25 0.5207 0.6107 0.5747 13.63",
        "U2Fusion": "7.0050 5.1520 1.6698 0.7055 0.5800 0.9673 12.95 35.70 2.53 0.5058 0.6569 0.6249 14.86",
        "average": "6.4494 2.8877 1.4161 0.7637 0.5696 0.9482 7.53 28.52 2.88 0.3822 0.6737 0.6325 16.40",
        "maximum": "7.0305 4.1149 1.4110 0.7138 0.8530 0.9728 11.63 44.01 7.37 0.6040 0.6057 0.5333 13.39",
        "contrast_preserving_sum": (
            "7.4701 5.4898 1.9723 0.6840 0.6754 0.9672 14.33 55.07 2.97 0.5221 0.6455 0.6273 14.05"
        ),
    },
}
"""Data set to method to the printed means over its test list, in the order of `KEYS`."""


def reference_row(dataset: str, method: str) -> dict[str, str]:
    """Metric key to the printed mean; raises KeyError for an unknown data set or method."""
    return dict(zip(KEYS, REFERENCE_SCORES[dataset][method].split(), strict=True))
