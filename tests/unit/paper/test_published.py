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
