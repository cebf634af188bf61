"""Data sets' own folders and cameras' own names pair without options; what does not pair is explained."""

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from camfuse_jax.data.pairs import find_pairing
from camfuse_jax.data.tables import read_table
from camfuse_jax.errors import InputError
from camfuse_jax.images.write import picture_bytes, write_picture

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
    "DJI's card": (
        "DCIM/100MEDIA/DJI_0001_T.JPG DCIM/100MEDIA/DJI_0001_Z.JPG DCIM/100MEDIA/DJI_0001_W.JPG",
        [("DJI_0001", "DCIM/100MEDIA/DJI_0001_T.JPG", "DCIM/100MEDIA/DJI_0001_W.JPG")],
    ),
    "DJI's mission": (
        "DJI_202401011200_001_mission/DJI_1_T.JPG DJI_202401011200_001_mission/DJI_1_V.JPG",
        [
            (
                "DJI_1",
                "DJI_202401011200_001_mission/DJI_1_T.JPG",
                "DJI_202401011200_001_mission/DJI_1_V.JPG",
            )
        ],
    ),
    "DJI in folders": (
        "thermal/DJI_1_T.JPG wide/DJI_1_W.JPG zoom/DJI_1_Z.JPG",
        [("DJI_1", "thermal/DJI_1_T.JPG", "wide/DJI_1_W.JPG")],
    ),
    "DJI's waypoints": (
        "DJI_0001_T_Waypoint1.JPG DJI_0001_W_Waypoint1.JPG",
        [("DJI_0001_Waypoint1", "DJI_0001_T_Waypoint1.JPG", "DJI_0001_W_Waypoint1.JPG")],
    ),
    "words in the middle": (
        "scene_ir_001.jpg scene_vis_001.jpg",
        [("scene_001", "scene_ir_001.jpg", "scene_vis_001.jpg")],
    ),
    "two pairs of folders": (
        "day_ir/1.jpg day_vis/1.jpg night_ir/1.jpg night_vis/1.jpg",
        [("day_1", "day_ir/1.jpg", "day_vis/1.jpg"), ("night_1", "night_ir/1.jpg", "night_vis/1.jpg")],
    ),
    "numbered folders": (
        "ir_1/a.jpg vis_1/a.jpg ir_2/a.jpg vis_2/a.jpg",
        [("1_a", "ir_1/a.jpg", "vis_1/a.jpg"), ("2_a", "ir_2/a.jpg", "vis_2/a.jpg")],
    ),
    "names of folders that become one": (
        "a_b/ir/1.png a_b/vis/1.png a/b/ir/1.png a/b/vis/1.png",
        [("a_b_1", "a/b/ir/1.png", "a/b/vis/1.png"), ("a_b_1_2", "a_b/ir/1.png", "a_b/vis/1.png")],
    ),
    "labels below the cameras' folders": (
        "ir/images/1.jpg ir/masks/1.jpg vis/images/1.jpg vis/masks/1.jpg vis/SegmentationLabels/2.png",
        [("1", "ir/images/1.jpg", "vis/images/1.jpg")],
    ),
    "a label inside a word": ("ir_seg1/1.png vis_seg1/1.png", [("1", "ir_seg1/1.png", "vis_seg1/1.png")]),
    "a rare word": ("thermal/1.png optical/1.png", [("1", "thermal/1.png", "optical/1.png")]),
    "a rare word for a scene": (
        "tv/ir/1.png tv/vis/1.png thermal/2.seq",
        [("1", "tv/ir/1.png", "tv/vis/1.png")],
    ),
    "two infrared cameras": ("0_lwir.png 0_nir.png 0_rgb.png", [("0", "0_lwir.png", "0_rgb.png")]),
    "short- and middle-wave": ("9_swir.tif 9_mwir.tif 9_vis.tif", [("9", "9_mwir.tif", "9_vis.tif")]),
    "FLIR's visual": (
        "FLIR1.jpg FLIR1_visual.jpg FLIR2.jpg FLIR2_visual.jpg",
        [("FLIR1", "FLIR1.jpg", "FLIR1_visual.jpg"), ("FLIR2", "FLIR2.jpg", "FLIR2_visual.jpg")],
    ),
    "only the thermal one named": ("a.png a_thermal.tif", [("a", "a_thermal.tif", "a.png")]),
    "ir_img": ("ir_img/1.png vis_img/1.png", [("1", "ir_img/1.png", "vis_img/1.png")]),
    "far below": ("a/b/c/d/ir/1.png a/b/c/d/vis/1.png", [("1", "a/b/c/d/ir/1.png", "a/b/c/d/vis/1.png")]),
    "hidden folders": (
        "set/ir/1.png set/vis/1.png set/.ir/1.png .cache/ir/2.png .cache/vis/2.png",
        [("1", "set/ir/1.png", "set/vis/1.png")],
    ),
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


# Files of a folder, how many pairs they are, and the files of which each is a problem.
LEFT_OVER = {
    "two trees": ("ir/x/1.png ir/y/2.png vis/x/1.png vis/z/3.png", 1, "ir/y/2.png vis/z/3.png"),
    "a folder beside images": ("ir/Train/2.png ir/1.png vis/1.png", 1, "ir/Train/2.png"),
    "one camera of a set": ("s/V0/lwir/1.jpg s/V0/visible/1.jpg s/V1/lwir/1.jpg s/V1/labels/1.png", 1, "V1/lwir/1.jpg"),
    "images of a folder below": ("V/1_co.png V/1_ir.png V/2_co.png V/3_ir.png", 1, "V/2_co.png V/3_ir.png"),
    "a scene's folder": ("day/ir_1.png day/vis_1.png night/ir_2.png", 1, "night/ir_2.png"),
    "a pair beside folders": ("ir/1.png vis/1.png 2_ir.png 2_vis.png", 1, "2_ir.png 2_vis.png"),
    "a pair below": ("1_ir.png 1_vis.png sub/2_ir.png sub/2_vis.png", 1, "sub/2_ir.png sub/2_vis.png"),
    "DJI's other folder": ("100/DJI_1_T.JPG 100/DJI_1_W.JPG 101/DJI_2_T.JPG", 1, "101/DJI_2_T.JPG"),
}


@pytest.mark.parametrize("name", LEFT_OVER)
def test_what_lies_apart_from_the_pairs_is_named(tmp_path, name):
    files, pairs, left = LEFT_OVER[name]
    pairing = find_pairing(_files(tmp_path, files))
    assert len(pairing.pairs) == pairs
    problems = sorted(pairing.problems)
    assert len(problems) == len(left.split())
    for problem, file in zip(problems, left.split(), strict=True):
        assert file in problem
        assert problem.endswith(("has no partner", "fuse it from a folder of its own"))


def test_images_that_name_no_camera_beside_folders_that_do_are_noted(tmp_path):
    pairing = find_pairing(_files(tmp_path, "ir/1.png vis/1.png teaser.png setup/all.png labels/1.png"))
    assert pairing.problems == ()
    assert [note.split(": ")[1] for note in pairing.notes] == ["teaser.png, setup/all.png"]


def test_dji_images_in_two_folders(tmp_path):
    root = _files(tmp_path, "t/DJI_1_T.JPG t/DJI_2_T.JPG w/DJI_1_W.JPG w/DJI_1_Z.JPG")
    pairing = find_pairing(root / "t", root / "w")
    assert _found(pairing, root) == [("DJI_1", "t/DJI_1_T.JPG", "w/DJI_1_W.JPG")]
    assert pairing.problems == ("t/DJI_2_T.JPG has no partner",)
    assert "w/DJI_1_Z.JPG is passed over" in pairing.notes[0]


def test_words_in_the_middle_in_two_folders(tmp_path):
    root = _files(tmp_path, "a/scene_ir_1.png a/x_ir_2.png a/x_2.png b/scene_vis_1.png b/x_2.png")
    pairing = find_pairing(root / "a", root / "b")
    assert [pair.name for pair in pairing.pairs] == ["scene_1", "x_2"]
    assert pairing.problems == ("a/x_ir_2.png has no partner",)


def test_labels_of_two_folders_are_passed_over_unless_they_are_all(tmp_path):
    root = _files(tmp_path, "ir/images/1.png ir/labels/1.png vis/images/1.png vis/labels/1.png vis/labels/2.png")
    pairing = find_pairing(root / "ir", root / "vis")
    assert _found(pairing, root) == [("1", "ir/images/1.png", "vis/images/1.png")]
    assert pairing.problems == ()
    assert [pair.name for pair in find_pairing(root / "ir/labels", root / "vis/labels").pairs] == ["1"]


@pytest.mark.parametrize(
    ("folder", "files", "given"), [("thermal", "F_006 F_018", "thermal OTHER"), ("x", "vis_1", "OTHER x")]
)
def test_a_folder_of_one_camera_wants_the_other(tmp_path, monkeypatch, folder, files, given):
    monkeypatch.chdir(tmp_path)
    _files(tmp_path / folder, " ".join(f"{file}.png" for file in files.split()))
    why = find_pairing(Path(folder)).why_nothing
    assert why == f"{folder} holds one camera's images only. Give the other folder too: camfuse fuse {given}."


def test_a_pattern_that_cannot_pair_is_not_offered(tmp_path):
    assert "--pattern" not in find_pairing(_files(tmp_path, "7.png x_8.png x_9.png")).why_nothing


def test_results_in_the_folder_of_their_sources_are_passed_over(tmp_path):
    def result(*names):
        for name in names:
            write_picture(tmp_path / name, np.zeros((4, 4), np.uint8), provenance="made of 1")

    _files(tmp_path, "sa/ir_1.jpg sa/vis_1.jpg sb/F1.jpg sb/F1_visual.jpg sc/ir/1.jpg sc/vis/1.jpg sd/ir_1.jpg")
    result("sa/1.png", "sa/1_ir_heat.png", "sa/1_vis_heat.png", "sb/F1.tif", "sc/vis/1.png", "sc/vis/1_preview.png")
    result("sc/out/1.jpg", "sc/out/1_ir_heat.png", "sc/out/1_vis_heat.png", "sd/vis_1.png", "se/1.png", "sf/1.png")
    for folder in ("sa", "sb", "sc", "sd"):
        pairing = find_pairing(tmp_path / folder)
        assert len(pairing.pairs) == 1, folder
        assert (pairing.problems, pairing.notes) == ((), ())
    assert len(find_pairing(tmp_path / "se", tmp_path / "sf").pairs) == 1  # where they are given they are sources


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
    _files(tmp_path, "cam0_1.png cam1_1.png cam0_2.png cam1_2.png aux_7.png notes.txt flight.seq sub/x.txt")
    why = find_pairing(tmp_path).why_nothing
    for text in ("5 images", "sub/", ".seq (1), .txt (1)", "cam0_1.png names no camera"):
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
    "nothing": ("ir/1.npy vis/2.png", "", 2),
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
    "bar": b"ir|vis\nT/a.png|V/b.png",
    "names of files": b"ir_name,vis_name\nT/a.png,V/b.png\n",
    "beside other columns": b"ir,ir_time,vis,vis_time\nT/a.png,7,V/b.png,8\n",
    "words": b"infrared,visible\nT/a.png,V/b.png\n",
    "long words": b"Thermal image,RGB image,comment\nT/a.png,V/b.png,hot\n",
    "paths": b"nr,ir_path,vis_path\n1,T/a.png,V/b.png\n",
    "upper": b"IR,VIS\nT/a.png,V/b.png\n",
    "blanks": b"id, ir , vis \n1,T/a.png,V/b.png",
    "backslashes": b"ir,vis\r\nT\\a.png,V\\b.png\r\n",
    "blank rows": b"ir,vis\nT/a.png,V/b.png\n,\n\n , \n",
    "an empty line first": b"\nir;vis\nT/a.png;V/b.png\n",
    "run together": b"thermalPath,rgbPath\nT/a.png,V/b.png\n",
    "run together, upper": b"ThermalImage,RGBImage\nT/a.png,V/b.png\n",
    "all lower": b"thermalimage,visibleimage\nT/a.png,V/b.png\n",
    "beside temperatures": b"thermal,rgb,thermal_temp_max\nT/a.png,V/b.png,90\n",
    "beside times": b"ir_time,ir_path,vis_time,vis_path\n1,T/a.png,2,V/b.png\n",
    "rare words": b"thermal,optical\nT/a.png,V/b.png\n",
    "rare words for something else": b"rgb,ir,daylight\nV/b.png,T/a.png,1\n",
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
    (tmp_path / "t.csv").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(999))
    with pytest.raises(InputError, match=r"old Excel workbook \(.xls\), to be saved as CSV"):
        read_table(tmp_path / "t.csv")


def test_a_path_in_a_table_may_have_another_unicode_form(tmp_path):
    composed, apart = (unicodedata.normalize(form, "é.png") for form in ("NFC", "NFD"))
    _files(tmp_path, f"a.png {composed} x/{apart}")
    (tmp_path / "t.csv").write_text(f"ir,vis,name\na.png,{apart},1\na.png,x\\{composed},2\n", encoding="utf-8")
    pairing = read_table(tmp_path / "t.csv")
    assert [pair.name for pair in pairing.pairs] == ["1", "2"]
    assert all(pair.vis.is_file() for pair in pairing.pairs)
