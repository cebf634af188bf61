"""Tables of pairs and calibrations as no program would write them: refused by name, in one line."""

import numpy as np
import pytest

from camfuse_jax.data.tables import read_table
from camfuse_jax.errors import InputError
from camfuse_jax.images.write import write_picture
from camfuse_jax.pair.calibrate import read_homography


@pytest.fixture
def table(tmp_path):
    write_picture(tmp_path / "a.png", np.zeros((4, 4), np.uint8))

    def write(content):
        (tmp_path / "pairs.csv").write_text(content, encoding="utf-8", newline="")
        return tmp_path / "pairs.csv"

    return write


@pytest.mark.parametrize("name", ["a\0b", "two\nlines", "bell\a"])
def test_a_name_that_no_file_can_have(table, name):
    pairing = read_table(table(f'ir,vis,name\na.png,a.png,"{name}"\na.png,a.png,good\n'))
    assert [pair.name for pair in pairing.pairs] == ["good"]
    (told,) = pairing.problems
    assert "cannot be a result's name" in told
    assert told.startswith("pairs.csv line ")
    assert told.isprintable()


@pytest.mark.parametrize("file", ["x" * 5000 + ".png", "no\nsuch.png", "no\0such.png"])
def test_a_file_that_cannot_be(table, file):
    pairing = read_table(table(f'ir,vis\na.png,"{file}"\n'))
    assert not pairing.pairs
    (told,) = pairing.problems
    assert "absent" in told
    assert told.isprintable()


def test_a_table_without_end(table):
    path = table("ir,vis\n" + "a.png,a.png\n" * 1_500_000)
    with pytest.raises(InputError, match="larger than"):
        read_table(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("deep.json", "[" * 100_000),
        ("long.json", f"[[{'9' * 400}, 0, 0], [0, 1, 0], [0, 0, 1]]"),
        ("digits.json", f"[[{'9' * 5000}, 0, 0], [0, 1, 0], [0, 0, 1]]"),
        ("list.json", '{"homography": {"a": 1}}'),
        ("uneven.json", "[[1, 0, 0], [0, 1], [0, 0, 1]]"),
        ("infinite.txt", "1e999 0 0 0 1 0 0 0 1"),
        ("huge.txt", "1e300 0 0 0 1e300 0 0 0 1e300"),
        ("large.txt", "1 0 0 0 1 0 0 0 1" + " " * 2_000_000),
    ],
)
def test_a_calibration_that_is_none(tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(InputError, match=r"homography|more than [0-9]+ bytes") as caught:
        read_homography(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
