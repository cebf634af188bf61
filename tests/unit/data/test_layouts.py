"""Data sets' own folders and cameras' own names pair without options; what does not pair is explained."""

import os
import unicodedata

import numpy as np
import pytest

from camfuse_jax.data.pairs import find_pairing
from camfuse_jax.data.tables import read_table
from camfuse_jax.errors import InputError
from camfuse_jax.images.write import picture_bytes

# Files of a folder, and the pairs (name, infrared, visible) that they are.
LAYOUTS = {
    "KAIST": (
        "set00/V000/lwir/I00000.jpg set00/V000/visible/I00000.jpg set00/V001/lwir/I00000.jpg "
        "set00/V001/visible/I00000.jpg set00/V001/annotations/I00000.png",
        [
            ("set00_V000_I00000", "set00/V000/lwir/I00000.jpg", "set00/V000/visible/I00000.jpg"),
            ("set00_V001_I00000", "set00/V001/lwir/I00000.jpg", "set00/V001/visible/I00000.jpg"),
        ],
    ),
    "FLIR ADAS 1": (
        "train/RGB/FLIR_1.jpg train/thermal_8_bit/FLIR_1.jpeg train/thermal_16_bit/FLIR_1.tiff "
        "train/Annotated_thermal_8_bit/FLIR_1.jpeg",
        [("FLIR_1", "train/thermal_8_bit/FLIR_1.jpeg", "train/RGB/FLIR_1.jpg")],
    ),
    "FLIR ADAS 1 aligned": (
        "align/JPEGImages/FLIR_2_PreviewData.jpeg align/JPEGImages/FLIR_2_RGB.jpg",
        [("FLIR_2", "align/JPEGImages/FLIR_2_PreviewData.jpeg", "align/JPEGImages/FLIR_2_RGB.jpg")],
    ),
    "LLVIP": (
        "infrared/train/1.jpg infrared/test/2.jpg visible/train/1.jpg visible/test/2.jpg Annotations/1.xml",
        [("1", "infrared/train/1.jpg", "visible/train/1.jpg"), ("2", "infrared/test/2.jpg", "visible/test/2.jpg")],
    ),
    "M3FD": ("M3FD_Fusion/Ir/0.png M3FD_Fusion/Vis/0.png", [("0", "M3FD_Fusion/Ir/0.png", "M3FD_Fusion/Vis/0.png")]),
    "MSRS": (
        "train/ir/1D.png train/vi/1D.png train/Segmentation_labels/1D.png test/ir/2N.png test/vi/2N.png",
        [("1D", "train/ir/1D.png", "train/vi/1D.png"), ("2N", "test/ir/2N.png", "test/vi/2N.png")],
    ),
    "FMB": (
        "train/Infrared/1.png train/Visible/1.png train/color/1.png train/Label/1.png",
        [("1", "train/Infrared/1.png", "train/Visible/1.png")],
    ),
    "VEDAI": ("Vehicules512/1_co.png Vehicules512/1_ir.png", [("1", "Vehicules512/1_ir.png", "Vehicules512/1_co.png")]),
    "DroneVehicle": (
        "train/trainimg/1.jpg train/trainimgr/1.jpg train/trainlabel/1.xml val/valimg/2.jpg val/valimgr/2.jpg",
        [("1", "train/trainimgr/1.jpg", "train/trainimg/1.jpg"), ("2", "val/valimgr/2.jpg", "val/valimg/2.jpg")],
    ),
    "VIFB": ("input/IR/man.jpg input/VI/man.jpg", [("man", "input/IR/man.jpg", "input/VI/man.jpg")]),
    "CVC-14": (
        "Day/FIR/Train/FramesPos/1.tif Day/Visible/Train/FramesPos/1.tif",
        [("1", "Day/FIR/Train/FramesPos/1.tif", "Day/Visible/Train/FramesPos/1.tif")],
    ),
    "RGBT234": (
        "afterrain/infrared/00001i.jpg afterrain/visible/00001v.jpg",
        [("00001", "afterrain/infrared/00001i.jpg", "afterrain/visible/00001v.jpg")],
    ),
    "LasHeR": (
        "bike/infrared/i0001.jpg bike/visible/v0001.jpg",
        [("0001", "bike/infrared/i0001.jpg", "bike/visible/v0001.jpg")],
    ),
    "TNO": (
        "Athena_images/bench/IR_g.bmp Athena_images/bench/VIS_r.bmp Triclobs_images/Bosnia/LWIR_B.bmp "
        "Triclobs_images/Bosnia/NIR_G.bmp Triclobs_images/Bosnia/VIS_R.bmp FEL_images/Tree/thermal/4i.bmp "
        "FEL_images/Tree/visual/4v.bmp Triclobs_images/Reek/Reek_IR.bmp Triclobs_images/Reek/Reek_Vis.bmp "
        "Triclobs_images/Reek/Reek_II.bmp",
        [
            ("4", "FEL_images/Tree/thermal/4i.bmp", "FEL_images/Tree/visual/4v.bmp"),
            ("Bosnia", "Triclobs_images/Bosnia/LWIR_B.bmp", "Triclobs_images/Bosnia/VIS_R.bmp"),
            ("Reek", "Triclobs_images/Reek/Reek_IR.bmp", "Triclobs_images/Reek/Reek_Vis.bmp"),
            ("bench", "Athena_images/bench/IR_g.bmp", "Athena_images/bench/VIS_r.bmp"),
        ],
    ),
    "DJI": (
        "DJI_1_0001_T.JPG DJI_1_0001_W.JPG DJI_1_0001_Z.JPG DJI_2_0002_T.JPG DJI_2_0002_V.JPG",
        [
            ("DJI_1_0001", "DJI_1_0001_T.JPG", "DJI_1_0001_W.JPG"),
            ("DJI_2_0002", "DJI_2_0002_T.JPG", "DJI_2_0002_V.JPG"),
        ],
    ),
    "two infrared cameras": ("0_lwir.png 0_nir.png 0_rgb.png", [("0", "0_lwir.png", "0_rgb.png")]),
    "short- and middle-wave": ("9_swir.tif 9_mwir.tif 9_vis.tif", [("9", "9_mwir.tif", "9_vis.tif")]),
    "FLIR's visual": (
        "FLIR1.jpg FLIR1_visual.jpg FLIR2.jpg FLIR2_visual.jpg",
        [("FLIR1", "FLIR1.jpg", "FLIR1_visual.jpg"), ("FLIR2", "FLIR2.jpg", "FLIR2_visual.jpg")],
    ),
    "only the thermal one named": ("a.png a_thermal.tif", [("a", "a_thermal.tif", "a.png")]),
    "ir_img": ("ir_img/1.png vis_img/1.png", [("1", "ir_img/1.png", "vis_img/1.png")]),
    "words run together": ("ThermalImages/1.png RGBImages/1.png", [("1", "ThermalImages/1.png", "RGBImages/1.png")]),
}


def _files(root, names):
    for name in names.split():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def _found(pairing, root):
    return [(pair.name, *(os.path.relpath(path, root) for path in (pair.ir, pair.vis))) for pair in pairing.pairs]


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_data_sets_own_folder_pairs_without_options(tmp_path, name):
    files, pairs = LAYOUTS[name]
    pairing = find_pairing(_files(tmp_path, files))
    assert _found(pairing, tmp_path) == pairs
    assert pairing.problems == ()


def test_roadscene_takes_the_two_folders_that_fit_in_size(tmp_path):
    for folder, height in {"cropinfrared": 4, "infrared": 6, "crop_LR_visible": 4, "crop_HR_visible": 8}.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "FLIR_1.png").write_bytes(picture_bytes(np.zeros((height, 5), np.uint8)))
    pairing = find_pairing(tmp_path)
    assert _found(pairing, tmp_path) == [("FLIR_1", "cropinfrared/FLIR_1.png", "crop_LR_visible/FLIR_1.png")]
    assert "crop_HR_visible/ is passed over" in " ".join(pairing.notes)


def test_flir_adas_2_pairs_by_its_list(tmp_path):
    _files(tmp_path, "video_rgb_test/data/a-1.jpg video_thermal_test/data/b-7.jpg video_thermal_test/data/b-8.jpg")
    (tmp_path / "rgb_to_thermal_vid_map.json").write_text('{"a-1.jpg": "b-7.jpg"}')
    found = _found(find_pairing(tmp_path), tmp_path)
    assert found == [("a-1", "video_thermal_test/data/b-7.jpg", "video_rgb_test/data/a-1.jpg")]


def test_two_folders_with_the_same_folders_below(tmp_path):
    root = _files(tmp_path, "infrared/train/1.jpg infrared/test/2.jpg visible/train/1.jpg visible/test/2.jpg")
    assert [pair.name for pair in find_pairing(root / "infrared", root / "visible").pairs] == ["1", "2"]


def test_unicode_forms_of_one_name_are_one_name(tmp_path):
    composed, apart = (unicodedata.normalize(form, "café_é") for form in ("NFC", "NFD"))
    assert composed != apart
    _files(tmp_path, f"ir/{apart}.png vis/{composed}.png one/{apart}_ir.png one/{composed}_vis.png")
    assert [pair.name for pair in find_pairing(tmp_path / "ir", tmp_path / "vis").pairs] == [composed]
    assert [pair.name for pair in find_pairing(tmp_path / "one").pairs] == [composed]


def test_which_infrared_camera_was_passed_over_is_noted(tmp_path):
    pairing = find_pairing(_files(tmp_path, "0_lwir.png 0_nir.png 0_rgb.png"))
    assert "0_nir.png is passed over beside 0_lwir.png (--pattern takes it instead)" in pairing.notes[0]


def test_where_nothing_pairs_the_message_says_what_was_seen_and_what_would_pair_it(tmp_path):
    _files(tmp_path, "cam0_1.png cam1_1.png cam0_2.png cam1_2.png notes.txt flight.seq sub/x.txt")
    why = find_pairing(tmp_path).why_nothing
    for text in ("4 images", "sub/", ".seq (1), .txt (1)", "cam0_1.png names no camera"):
        assert text in why
    assert "--pattern 'cam0_{name}' 'cam1_{name}'" in why
    pattern = ("cam0_{name}", "cam1_{name}")
    assert [pair.name for pair in find_pairing(tmp_path, pattern=pattern).pairs] == ["1", "2"]


def test_where_nothing_pairs_images_below_are_counted(tmp_path):
    why = find_pairing(_files(tmp_path, "shots/left/1.png shots/left/2.png shots/right/1.png")).why_nothing
    assert "shots/left/ (2 images), shots/right/ (1 images)" in why


def test_files_of_a_kind_that_is_not_read_are_named_beside_those_without_a_partner(tmp_path):
    root = _files(tmp_path, "ir/1.seq ir/2.xyz ir/3.png vis/1.png vis/2.png vis/3.png")
    pairing = find_pairing(root / "ir", root / "vis")
    assert [pair.name for pair in pairing.pairs] == ["3"]
    assert "vis/1.png has no partner: ir/1.seq is of a kind that is not read" in pairing.problems
    assert len(pairing.problems) == 2
    (root / "ir/1.seq").write_bytes(b"FFF\0" * 99)
    assert (
        "is not read (its content: FLIR sequence (.seq, .csq))" in find_pairing(root / "ir", root / "vis").problems[0]
    )
    only = _files(tmp_path / "only", "ir/flight.csq vis/1.png")
    (only / "ir/flight.csq").write_bytes(b"FFF\0" * 99)
    assert ".csq (1) (its content: FLIR sequence" in find_pairing(only / "ir", only / "vis").why_nothing


# Files of a folder, the pairs (infrared, visible) that they are, and how many problems there are.
TABLES_IN_FOLDERS = {
    "all": ("ir/1.npy ir/2.csv ir/3.npy vis/1.png vis/2.jpg", "1.npy+1.png 2.csv+2.jpg", 1),
    "some": ("ir/1.npy ir/2.png ir/10_temp.npy vis/1.png vis/2.png", "1.npy+1.png 2.png+2.png", 1),
    "beside the image": ("ir/1.jpg ir/1.csv ir/1.npy vis/1.png vis/1.csv", "1.jpg+1.png", 0),
    "two forms of one table": ("ir/1.csv ir/1.npy vis/1.png", "1.npy+1.png", 0),
    "of labels": ("ir/1.png ir/labels.csv vis/1.png vis/labels.csv vis/times.npy", "1.png+1.png", 0),
    "words": ("1_thermal.npy 1_rgb.png 2_ir.csv 2_vis.png vis_2.npy", "1_thermal.npy+1_rgb.png 2_ir.csv+2_vis.png", 0),
    "words of one kind": ("001_thermal.npy 001_rgb.png notes.csv", "001_thermal.npy+001_rgb.png", 0),
    "letters": ("DJI_1_T.csv DJI_1_W.JPG", "DJI_1_T.csv+DJI_1_W.JPG", 0),
    "both": ("ir/1.npy vis/1.npy", "1.npy+1.npy", 0),
    "below": ("ir/a/1.csv ir/meta.csv vis/a/1.png vis/meta.csv", "1.csv+1.png", 0),
    "one folder below each": ("ir/raw/1.png ir/log.csv vis/photos/1.png vis/log.csv", "1.png+1.png", 0),
}


@pytest.mark.parametrize("name", TABLES_IN_FOLDERS)
def test_temperature_tables_pair_where_no_image_has_their_name(tmp_path, name):
    files, pairs, problems = TABLES_IN_FOLDERS[name]
    pairing = find_pairing(_files(tmp_path, files))
    assert " ".join(f"{pair.ir.name}+{pair.vis.name}" for pair in pairing.pairs) == pairs
    assert len(pairing.problems) == problems


def test_a_pattern_takes_tables_too(tmp_path):
    _files(tmp_path, "cam0_1.npy cam1_1.png cam1_1.npy cam0_2.csv cam1_2.png")
    pairing = find_pairing(tmp_path, pattern=("cam0_{name}.npy", "cam1_{name}"))
    assert [pair.ir.name for pair in pairing.pairs] == ["cam0_1.npy", "cam0_2.csv"]


def test_a_link_to_itself_is_a_pair_that_fails_alone(tmp_path):
    root = _files(tmp_path, "ir/a.png vis/a.png vis/loop.png")
    (root / "ir" / "loop.png").symlink_to("loop.png")
    assert [pair.name for pair in find_pairing(root / "ir", root / "vis").pairs] == ["a", "loop"]


TABLES = {
    "semicolon": b"ir;vis\nT/a.png;V/b.png",
    "tab": b"ir\tvis\nT/a.png\tV/b.png",
    "bar and sep=": b"sep=|\r\nir|vis\r\nT/a.png|V/b.png\r\n",
    "words": b"infrared,visible\nT/a.png,V/b.png\n",
    "long words": b"Thermal image,RGB image,comment\nT/a.png,V/b.png,hot\n",
    "paths": b"nr,ir_path,vis_path\n1,T/a.png,V/b.png\n",
    "upper": b"IR,VIS\nT/a.png,V/b.png\n",
    "blanks": b"id, ir , vis \n1,T/a.png,V/b.png",
    "backslashes": b"ir,vis\r\nT\\a.png,V\\b.png\r\n",
    "blank rows": b"ir,vis\nT/a.png,V/b.png\n,\n\n , \n",
    "UTF-16": "ir,vis\r\nT/a.png,V/b.png\r\n".encode("utf-16"),
    "UTF-16 without a mark": "ir;vis\r\nT/a.png;V/b.png\r\n".encode("utf-16-be"),
    "Latin": "ir,vis,name\nT/a.png,V/b.png,Café\n".encode("latin-1"),
}


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_as_spreadsheets_write_it(tmp_path, kind):
    _files(tmp_path, "T/a.png V/b.png")
    (tmp_path / "t.csv").write_bytes(TABLES[kind])
    pairing = read_table(tmp_path / "t.csv")
    assert [(pair.ir, pair.vis) for pair in pairing.pairs] == [(tmp_path / "T" / "a.png", tmp_path / "V" / "b.png")]
    assert pairing.pairs[0].name == ("Café" if kind == "Latin" else "b")
    assert pairing.problems == ()


def test_columns_that_say_nothing_or_too_much_are_named(tmp_path):
    for content, message in (("left,right\n1,2\n", "but: left, right"), ("ir,rgb,photo\n1,2,3\n", "several columns")):
        (tmp_path / "t.csv").write_text(content)
        with pytest.raises(InputError, match=message):
            read_table(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_bytes(b"PK\3\4" + bytes(99))
    with pytest.raises(InputError, match="Excel workbook"):
        read_table(tmp_path / "t.csv")
