"""The paper's printed rows."""

import pytest
from paper.published import EXTRA_KEYS, KEYS, PUBLISHED, printed_ablation

from camfuse_jax.metrics.registry import METRICS, PAPER_METRICS


@pytest.mark.parametrize("dataset", PUBLISHED)
def test_every_row_is_complete_and_every_remark_is_about_a_row(dataset):
    table = PUBLISHED[dataset]
    assert KEYS == PAPER_METRICS
    assert len(table.rows) == 8
    assert table.own in table.rows
    for method in table.rows:
        printed = table.printed(method)
        assert list(printed) == list(KEYS)
        assert all(len(text.partition(".")[2]) == 4 and 0 < float(text) < 10 for text in printed.values())
    assert set(table.doubtful) <= set(table.rows)
    assert {key for keys in table.doubtful.values() for key in keys} <= set(KEYS)
    assert set(EXTRA_KEYS[dataset]) <= set(METRICS)


def test_the_papers_own_rows():
    own = {dataset: list(table.printed(table.own).values()) for dataset, table in PUBLISHED.items()}
    assert own == {
        "tno": ["7.3272", "4.1124", "1.8747", "0.7783", "0.6927"],
        "roadscene": ["7.4768", "6.0352", "1.9069", "0.9438", "0.6809"],
    }
    assert {dataset: table.number for dataset, table in PUBLISHED.items()} == {"tno": 1, "roadscene": 2}


def test_table_3_is_of_tno_and_ends_with_the_papers_own_row():
    rows = printed_ablation("tno")
    assert rows["without L_df"] == dict(zip(KEYS, ["7.3243", "4.0472", "1.8196", "0.7667", "0.6647"], strict=True))
    assert rows[PUBLISHED["tno"].own] == PUBLISHED["tno"].printed(PUBLISHED["tno"].own)
    assert printed_ablation("roadscene") == printed_ablation("mine") == {}


COLUMNS = {
    "tno": {
        "EN": "6.5874 6.8876 7.0710 6.8494 6.7294 7.1242 6.5803 7.3272",
        "AG": "3.0169 3.5917 4.7496 2.5374 3.5964 4.0185 3.3612 4.1124",
        "SCD": "1.4430 1.7483 1.7426 1.5413 1.7064 1.7643 1.4792 1.8747",
        "SSIM": "0.7750 0.7316 0.7779 0.7108 0.7915 0.7694 0.7494 0.7783",
        "VIF": "0.3523 0.6571 0.6615 0.4179 0.6740 0.6733 0.6394 0.6927",
    },
    "roadscene": {
        "EN": "6.7714 7.0584 7.2555 7.3296 6.8793 7.2751 6.7303 7.4768",
        "AG": "3.6499 4.5426 6.0606 3.6601 5.9406 5.5199 5.2834 6.0352",
        "SCD": "1.4844 1.7863 1.7325 1.7590 1.7391 1.7970 1.5117 1.9069",
        "SSIM": "0.8931 0.9205 0.9157 0.8234 0.9379 0.9340 0.9141 0.9438",
        "VIF": "0.3729 0.5471 0.5095 0.3607 0.6624 0.6617 0.6277 0.6809",
    },
    "ablation": {
        "EN": "6.9602 7.3243 7.3272",
        "AG": "3.0204 4.0472 4.1124",
        "SCD": "1.6712 1.8196 1.8747",
        "SSIM": "0.7374 0.7667 0.7783",
        "VIF": "0.4819 0.6647 0.6927",
    },
}
"""The paper's tables once more, read column by column: a digit that is wrong in one copy differs from the other."""


@pytest.mark.parametrize("dataset", PUBLISHED)
def test_every_printed_digit(dataset):
    columns = {key: [] for key in KEYS}
    for method in PUBLISHED[dataset].rows:
        for key, digits in PUBLISHED[dataset].printed(method).items():
            columns[key].append(digits)
    assert {key: " ".join(digits) for key, digits in columns.items()} == COLUMNS[dataset]
    names = ["MDLatLRR", "DenseFuse", "U2Fusion", "GANMcC", "IRFS", "SeAFusion", "DATFuse", PUBLISHED[dataset].own]
    assert list(PUBLISHED[dataset].rows) == names


def test_every_printed_digit_of_the_ablation():
    rows = printed_ablation("tno")
    assert list(rows) == ["auto-encoder and l1-norm rule", "without L_df", PUBLISHED["tno"].own]
    assert {key: " ".join(row[key] for row in rows.values()) for key in KEYS} == COLUMNS["ablation"]


def test_which_printed_values_are_doubtful():
    assert PUBLISHED["tno"].doubtful == {"MDLatLRR": ("VIF",)}
    doubtful = PUBLISHED["roadscene"].doubtful
    assert doubtful["MDLatLRR"] == ("AG", "SSIM", "VIF")
    assert {keys for method, keys in doubtful.items() if method != "MDLatLRR"} == {("AG", "SSIM")}
    assert set(doubtful) == set(PUBLISHED["roadscene"].rows)
