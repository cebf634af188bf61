"""Pairs by name, word, pattern and table; what pairs with nothing is named."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camfuse_jax.data.pairs import IR_WORDS, VIS_WORDS, find_pairing, without_word
from camfuse_jax.data.tables import read_table
from camfuse_jax.errors import InputError, UsageError


def _files(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def _found(pairing):
    return {pair.name: (pair.ir.name, pair.vis.name) for pair in pairing.pairs}


def test_one_folder_with_prefixes_and_suffixes(tmp_path):
    _files(tmp_path, "ir_001.png", "vis_001.jpg", "002-IR.png", "002-RGB.png", "thermal3.tif", "visible3.tif", "x.png")
    _files(tmp_path, "ir_004.png", "notes.txt", ".ir_9.png")
    found = find_pairing(tmp_path)
    assert _found(found) == {
        "001": ("ir_001.png", "vis_001.jpg"),
        "002": ("002-IR.png", "002-RGB.png"),
        "3": ("thermal3.tif", "visible3.tif"),
    }
    told = " ".join(found.problems)
    assert "x.png names no camera" in told
    assert "ir_004.png has no partner" in told
    assert len(found.problems) == 2


def test_a_word_at_each_end(tmp_path):
    _files(tmp_path, "ir_color.png", "vis_color.png", "7_ir.png", "7_vis.png", "rgb_tir.png", "thermal_tir.png")
    assert _found(find_pairing(tmp_path)) == {
        "color": ("ir_color.png", "vis_color.png"),
        "7": ("7_ir.png", "7_vis.png"),
        "tir": ("thermal_tir.png", "rgb_tir.png"),
    }


def test_two_folders_orphans_duplicates_and_case(tmp_path):
    ir = _files(tmp_path / "a", "one.png", "Two.png", "three.png", "three.jpg", "four_ir.png", "five.png", "one_ir.png")
    vis = _files(tmp_path / "b", "one.jpg", "two.png", "three.png", "four_rgb.png", "six.png")
    found = find_pairing(ir, vis)
    assert _found(found) == {"one": ("one.png", "one.jpg"), "four": ("four_ir.png", "four_rgb.png")}
    told = " | ".join(found.problems)
    for text in ("a/Two.png has a partner only in other", "b/two.png has a partner only in other", "a/five.png has no"):
        assert text in told
    assert "two files of one name: a/three.jpg, a/three.png" in told
    assert "b/six.png has no partner" in told
    assert "a/one_ir.png: the name one is taken" in told


def test_two_files_are_called_after_the_visible_one(tmp_path):
    _files(tmp_path, "hot.png", "photo.png")
    assert _found(find_pairing(tmp_path / "hot.png", tmp_path / "photo.png")) == {"photo": ("hot.png", "photo.png")}


def test_a_folder_given_twice_is_one_folder(tmp_path):
    _files(tmp_path / "d", "1_ir.png", "1_vis.png")
    (tmp_path / "link").symlink_to("d")
    for other in ("d", "link"):
        assert _found(find_pairing(tmp_path / "d", tmp_path / other)) == {"1": ("1_ir.png", "1_vis.png")}


def test_sub_folders_named_after_cameras_count_as_two_folders(tmp_path):
    _files(tmp_path, "Thermal/a.png", "RGB/a.png", "other/z.png")
    assert _found(find_pairing(tmp_path)) == {"a": ("a.png", "a.png")}


def test_patterns(tmp_path):
    _files(tmp_path, "cam0_7_x.png", "cam1_7.png", "cam1_8.png", "other.png", "cam0_x.png", "cam1_.png")
    found = find_pairing(tmp_path, pattern=("cam0_{name}_x", "cam1_{name}.png"))
    assert _found(found) == {"7": ("cam0_7_x.png", "cam1_7.png")}
    assert "cam1_8.png has no partner" in found.problems[0]
    _files(tmp_path / "two", "day_ir/0_1.png", "day_vis/1_1.png", "night_ir/0_1.png", "night_vis/1_1.png")
    found = find_pairing(tmp_path / "two", pattern=("0_{name}", "1_{name}"))
    assert [pair.name for pair in found.pairs] == ["day_1", "night_1"]
    for wrong in ("cam0", "{name}{name}"):
        with pytest.raises(UsageError, match="must hold"):
            find_pairing(tmp_path, pattern=(wrong, "{name}"))


def test_tables(tmp_path):
    _files(tmp_path, "p/a.png", "q/b.png", "q/c.png")
    table = tmp_path / "t.csv"
    table.write_text(
        "\ufeffir,vis,name\np/a.png,q/b.png,first\np/a.png,q/c.png,\np/a.png,q/none.png,x\np/a.png,q/c.png,first\n"
        "p/a.png,,alone\n"
    )
    found = read_table(table)
    assert _found(found) == {"first": ("a.png", "b.png"), "c": ("a.png", "c.png")}
    assert [pair.name for pair in found.pairs] == ["c", "first"]
    assert "line 4 (x)" in found.problems[0]
    assert "second pair called first" in found.problems[1]
    assert "line 6 names only one file" in found.problems[2]
    table.write_text("sep=;\nir;vis\np/a.png;q/none.png\n")
    assert "line 3: " in read_table(table).problems[0]
    table.write_text("\n\nsep=;\nir;vis;name\np/a.png;q/b.png;../up\np/a.png;q/b.png;.\np/a.png;q/b.png;good\n")
    found = read_table(table)
    assert _found(found) == {"good": ("a.png", "b.png")}
    assert found.problems[0] == "t.csv line 5: '../up' cannot be a result's name; use a plain file name"
    assert len(found.problems) == 2
    table.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="columns ir and vis"):
        read_table(table)
    with pytest.raises(InputError, match="CSV"):
        read_table(tmp_path / "none.csv")


def test_what_is_refused(tmp_path):
    _files(tmp_path, "d/a.png", "b.png")
    with pytest.raises(InputError, match="does not exist"):
        find_pairing(tmp_path / "none")
    with pytest.raises(InputError, match="is a folder but"):
        find_pairing(tmp_path / "d", tmp_path / "b.png")
    with pytest.raises(UsageError, match="is one file"):
        find_pairing(tmp_path / "b.png")


CORE = st.text(string.digits + "_-", min_size=1, max_size=6).filter(lambda text: text.strip("_-"))


@given(CORE, st.sampled_from(IR_WORDS), st.sampled_from(VIS_WORDS), st.booleans(), st.booleans())
def test_a_word_at_either_end_is_taken_away(core, ir, vis, front, upper):
    core = core.strip("_-")
    for word, words, others in ((ir, IR_WORDS, VIS_WORDS), (vis, VIS_WORDS, IR_WORDS)):
        word = word.upper() if upper else word
        stem = f"{word}_{core}" if front else f"{core}_{word}"
        assert without_word(stem, words) == core
        assert without_word(stem, others) is None


@given(st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30)))
def test_every_file_is_either_paired_or_named(tmp_path_factory, ir, vis):
    root = tmp_path_factory.mktemp("p")
    _files(root, *(f"ir_{n}.png" for n in ir), *(f"vis_{n}.png" for n in vis))
    found = find_pairing(root)
    assert {int(pair.name) for pair in found.pairs} == ir & vis
    assert len(found.problems) == len(ir ^ vis)


def test_words_inside_other_words_do_not_count():
    for stem in ("first", "bird_7", "irene", "vista_2", "mirror"):
        assert without_word(stem, IR_WORDS) is None
        assert without_word(stem, VIS_WORDS) is None


def test_pairs_come_in_the_order_of_their_names_however_each_was_found(tmp_path):
    for kind, names in (("ir", ("b", "a_ir", "c")), ("vis", ("b", "a_vis", "c"))):
        (tmp_path / kind).mkdir()
        for name in names:
            (tmp_path / kind / f"{name}.png").write_bytes(b"")
    found = find_pairing(tmp_path / "ir", tmp_path / "vis")
    assert [pair.name for pair in found.pairs] == ["a", "b", "c"]
