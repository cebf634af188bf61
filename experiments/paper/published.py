"""What the paper prints in its Tables 1 to 3, and what is known about how those numbers were computed.

Source: Wan, Qin and Zeng, "Method for Infrared and Visible Image Fusion Based on Class Activation Mapping", Journal of
North University of China (Natural Science Edition) 46(5), 2025, doi 10.62756/jnuc.issn.1673-3193.2025.03.0003.
"""

from dataclasses import dataclass

KEYS = ("EN", "AG", "SCD", "SSIM", "VIF")
"""Columns of all tables."""

SOURCE = "Wan, Qin and Zeng 2025, doi 10.62756/jnuc.issn.1673-3193.2025.03.0003"


@dataclass(frozen=True)
class PublishedTable:
    """A table as printed.

    Attributes:
        number: Its number in the paper.
        name: The data set as it is written.
        rows: Method to the printed means, in the order of `KEYS`.
        own: The row of the paper's own method.
        doubtful: Method to keys whose printed value the definitions of protocol `paper` cannot give.
        reading: Which definitions give the printed numbers, as far as four methods' images can tell, in sentences.
    """

    number: int
    name: str
    rows: dict[str, str]
    own: str
    doubtful: dict[str, tuple[str, ...]]
    reading: tuple[str, ...]

    def printed(self, method: str) -> dict[str, str]:
        """Metric key to the printed digits of a method."""
        return dict(zip(KEYS, self.rows[method].split(), strict=True))


_SAME_FOR_BOTH = (
    "The paper names neither its test images nor its definitions. Printed rows and rows scored here therefore stand "
    "in one table but cannot be ranked together.",
    "EN and SCD have one usual definition, which fits. VIF fits as the sum over both sources of vifp, as in every "
    "protocol here; the mean is off by 41 %.",
)
_ELSEWHERE = (
    "The printed VIF of MDLatLRR is below the plain average of the sources, which the sum cannot give; its row and "
    "U2Fusion's look taken from elsewhere."
)

PUBLISHED: dict[str, PublishedTable] = {
    "tno": PublishedTable(
        number=1,
        name="TNO",
        rows={
            "MDLatLRR": "6.5874 3.0169 1.4430 0.7750 0.3523",
            "DenseFuse": "6.8876 3.5917 1.7483 0.7316 0.6571",
            "U2Fusion": "7.0710 4.7496 1.7426 0.7779 0.6615",
            "GANMcC": "6.8494 2.5374 1.5413 0.7108 0.4179",
            "IRFS": "6.7294 3.5964 1.7064 0.7915 0.6740",
            "SeAFusion": "7.1242 4.0185 1.7643 0.7694 0.6733",
            "DATFuse": "6.5803 3.3612 1.4792 0.7494 0.6394",
            "Wan et al. (the paper)": "7.3272 4.1124 1.8747 0.7783 0.6927",
        },
        own="Wan et al. (the paper)",
        doubtful={"MDLatLRR": ("VIF",)},
        reading=(
            *_SAME_FOR_BOTH,
            "AG fits as central differences with the 1/2 under the root. SSIM fits best, though not closely (5.8 %), "
            "as the mean of both Gaussian-window SSIMs. Protocol paper takes both so.",
            _ELSEWHERE,
        ),
    ),
    "roadscene": PublishedTable(
        number=2,
        name="RoadScene",
        rows={
            "MDLatLRR": "6.7714 3.6499 1.4844 0.8931 0.3729",
            "DenseFuse": "7.0584 4.5426 1.7863 0.9205 0.5471",
            "U2Fusion": "7.2555 6.0606 1.7325 0.9157 0.5095",
            "GANMcC": "7.3296 3.6601 1.7590 0.8234 0.3607",
            "IRFS": "6.8793 5.9406 1.7391 0.9379 0.6624",
            "SeAFusion": "7.2751 5.5199 1.7970 0.9340 0.6617",
            "DATFuse": "6.7303 5.2834 1.5117 0.9141 0.6277",
            "Wan et al. (the paper)": "7.4768 6.0352 1.9069 0.9438 0.6809",
        },
        own="Wan et al. (the paper)",
        doubtful={
            method: ("AG", "SSIM", "VIF") if method == "MDLatLRR" else ("AG", "SSIM")
            for method in (
                *("MDLatLRR", "DenseFuse", "U2Fusion", "GANMcC", "IRFS", "SeAFusion", "DATFuse"),
                "Wan et al. (the paper)",
            )
        },
        reading=(
            *_SAME_FOR_BOTH,
            "The printed SSIM cannot be the mean SSIM: maximising that over the fused pixels gives 0.73. The sum with "
            "a dynamic range of 2 on levels 0..255 fits: compare it with SSIM2 (protocol cddfuse has it as SSIM).",
            "The printed AG fits forward differences better than central ones, which are 11 to 24 % low: compare it "
            "with AG_FORWARD. Another choice of images could explain this, too.",
            _ELSEWHERE,
        ),
    ),
}
"""Data set to its table."""

EXTRA_KEYS = {"tno": (), "roadscene": ("SSIM2", "AG_FORWARD")}
"""Definitions that the printed numbers of a data set may follow instead of those of protocol `paper`."""

_ABLATION = {
    "tno": {
        "auto-encoder and l1-norm rule": "6.9602 3.0204 1.6712 0.7374 0.4819",
        "without L_df": "7.3243 4.0472 1.8196 0.7667 0.6647",
        "Wan et al. (the paper)": PUBLISHED["tno"].rows["Wan et al. (the paper)"],
    }
}


def printed_ablation(dataset: str) -> dict[str, dict[str, str]]:
    """Row to metric key to printed digits of the paper's Table 3; empty for a data set of which it has none."""
    rows = _ABLATION.get(dataset, {})
    return {name: dict(zip(KEYS, digits.split(), strict=True)) for name, digits in rows.items()}
