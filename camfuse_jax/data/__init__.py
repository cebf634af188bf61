"""Data: which files belong together, prepared records, sources by number, windows, and synthetic scenes."""

from camfuse_jax.data.folders import Pair, data_root, find_pairs, load_splits, pair_paths, read_split
from camfuse_jax.data.prepare import Prepared, RecordSource, pair_source, photo_source, prepare
from camfuse_jax.data.sources import ArraySource, CachedSource, ConcatSource, FileSource, PairSource, Source
from camfuse_jax.data.synthetic import synthetic_pair, write_synthetic_dataset
from camfuse_jax.data.windows import take_window, windows

__all__ = [
    "ArraySource",
    "CachedSource",
    "ConcatSource",
    "FileSource",
    "Pair",
    "PairSource",
    "Prepared",
    "RecordSource",
    "Source",
    "data_root",
    "find_pairs",
    "load_splits",
    "pair_paths",
    "pair_source",
    "photo_source",
    "prepare",
    "read_split",
    "synthetic_pair",
    "take_window",
    "windows",
    "write_synthetic_dataset",
]
