"""Wrong changes to how files are paired: by name, folder, pattern and table."""

from mutation.trial import mutations_of

_HOME, _UNIT = "camfuse_jax/data", "tests/unit/data"

MUTATIONS = [
    *mutations_of(
        f"{_HOME}/pairs.py",
        (f"{_UNIT}/test_pairing.py", f"{_UNIT}/test_layouts.py", f"{_UNIT}/test_folders.py"),
        ("_SHOWN = 10", "_SHOWN = 100"),
        ("{len(items) - _SHOWN} more", "{len(items)} more"),
        ("Pair(vis.stem, ir, vis),)", "Pair(ir.stem, ir, vis),)"),
        ("Pair(vis.stem, ir, vis),)", "Pair(vis.stem, vis, ir),)"),
        ("one = vis is None or os.path.realpath(vis) == os.path.realpath(ir)", "one = vis is None"),
        ("if not pairing.pairs or not p.lower()", "if not p.lower()"),
        ("problems = tuple(p for p in pairing.problems if", "problems = tuple(p for p in pairing.problems if True or"),
        ("long if counts[name] > 1 else name", "long if counts[name] > 2 else name"),
        (
            "return Pairing(tuple(sorted(pairs)), tuple(problems), tuple(notes))",
            "return Pairing(tuple(pairs), tuple(problems), tuple(notes))",
        ),
        ("files for files in both if len(files) > 1]", "files for files in both if len(files) > 2]"),
        ("elif key in taken:", "elif key in ():"),
        ("spellings[key.lower()] > 1", "spellings[key.lower()] > 2"),
        ("thermal = None if first and first.group().lower() in VIS_WORDS else thermal", "pass"),
        (
            'kind = "vis" if plain(path.stem) in keys["ir"] else "ir"',
            'kind = "ir" if plain(path.stem) in keys["ir"] else "vis"',
        ),
        ("if rank == min(ranks)]", "if rank == max(ranks)]"),
        ("Pair(Path(v).stem, ir_folder / i, vis_folder / v)", "Pair(Path(i).stem, ir_folder / i, vis_folder / v)"),
        (
            "if path.suffix.lower() not in READABLE_SUFFIXES | TABLE_SUFFIXES:",
            "if path.suffix.lower() in READABLE_SUFFIXES | TABLE_SUFFIXES:",
        ),
    ),
    *mutations_of(
        f"{_HOME}/tables.py",
        (f"{_UNIT}/test_pairing.py", f"{_UNIT}/test_layouts.py", "tests/faults/test_hostile_tables.py"),
        ("Pair(name, *files)", "Pair(name, *files[::-1])"),
        ("_file(path.parent, cells[kind])", "_file(Path(), cells[kind])"),
        ("name or plain(files[1].stem)", "name or plain(files[0].stem)"),
        ("if name in pairs:", "if name in ():"),
        ('if not cells["ir"] or not cells["vis"]:', 'if not cells["ir"] and not cells["vis"]:'),
        ('content.decode("cp1252")', 'content.decode("utf-8", "replace")'),
        ('_SEPARATORS = ",;\\t|"', '_SEPARATORS = ",;\\t"'),
        ("(reader.line_num + skipped, row)", "(reader.line_num, row)"),
        (' or name.startswith(".") or not name.isprintable()', ""),
        ('and "name" in kinds and "name" in words', 'and "name" not in kinds and "name" in words'),
        ("tuple(pairs[name] for name in sorted(pairs))", "tuple(pairs.values())"),
        ("if any(cell.strip() for cell in row)]", "]"),
    ),
    *mutations_of(
        f"{_HOME}/layouts.py",
        (f"{_UNIT}/test_pairing.py", f"{_UNIT}/test_layouts.py"),
        ('"previewdata", "mwir", "swir", "nir"', '"previewdata", "swir", "mwir", "nir"'),
        ('"rgb", "eo", "co", "wide"', '"rgb", "eo", "wide"'),
        ("_LARGEST_TREE, _DEEPEST = 20_000, 6", "_LARGEST_TREE, _DEEPEST = 20_000, 2"),
        ('return unicodedata.normalize("NFC", name)', "return name"),
        ('sorted(name for name in names if not name.startswith("."))', "sorted(names)"),
        (
            'sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.is_dir())',
            "sorted(path for path in folder.iterdir() if path.is_dir())",
        ),
        ("and len(stem) > len(before) + len(after)", ""),
        ("keys[stem[len(before) : len(stem) - len(after)]]", "keys[stem[len(before) :]]"),
        ("key=lambda way: (not _same_size(", "key=lambda way: (_same_size("),
        ("edge: (-len(rests[edge]), edge)", "edge: (len(rests[edge]), edge)"),
        ('LETTERS = {"ir": "t", "vis": "wvz"}', 'LETTERS = {"ir": "t", "vis": "zvw"}'),
        ("(label|annot|mask|", "(label|mask|"),
        ('for path in pictures(folder, tables=kind == "ir"):', "for path in pictures(folder, tables=False):"),
    ),
]
