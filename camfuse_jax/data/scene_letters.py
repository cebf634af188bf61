"""Seven-row block letters for signs: detail that only the visible band shows."""

import numpy as np
from jaxtyping import Bool

WORDS = ("CAFE", "HOTEL", "BAR", "MARKET", "OPTIK", "BANK", "TEXTIL", "PHOTO", "EXIT", "CENTRE")

# One letter is seven rows of five bits, the left-most column the highest bit.
_GLYPHS = {
    "A": (14, 17, 17, 31, 17, 17, 17),
    "B": (30, 17, 17, 30, 17, 17, 30),
    "C": (14, 17, 16, 16, 16, 17, 14),
    "E": (31, 16, 16, 30, 16, 16, 31),
    "F": (31, 16, 16, 30, 16, 16, 16),
    "H": (17, 17, 17, 31, 17, 17, 17),
    "I": (14, 4, 4, 4, 4, 4, 14),
    "K": (17, 18, 20, 24, 20, 18, 17),
    "L": (16, 16, 16, 16, 16, 16, 31),
    "M": (17, 27, 21, 21, 17, 17, 17),
    "N": (17, 25, 21, 19, 17, 17, 17),
    "O": (14, 17, 17, 17, 17, 17, 14),
    "P": (30, 17, 17, 30, 16, 16, 16),
    "R": (30, 17, 17, 30, 20, 18, 17),
    "T": (31, 4, 4, 4, 4, 4, 4),
    "X": (17, 17, 10, 4, 10, 17, 17),
}


def word_bitmap(word: str) -> Bool[np.ndarray, "7 w"]:
    """The word as a bitmap seven rows high, one blank column between letters and none at the ends.

    Args:
        word: Letters that occur in `WORDS`.
    """
    letters = []
    for letter in word:
        rows = np.array(_GLYPHS[letter])[:, None]
        letters += [(rows >> np.arange(4, -1, -1)) & 1, np.zeros((7, 1), int)]
    return np.concatenate(letters[:-1], axis=1).astype(bool)


def word_mask(word: str, across, down, *, scale: float = 1.0):
    """Where a word covers the unit box: 1 on strokes, 0 elsewhere, 0 outside the box.

    Args:
        word: The word.
        across: 0 at the word's left end, 1 at its right end.
        down: 0 at its top, 1 at its foot.
        scale: Contrast of the strokes, 0 to 1.
    """
    bitmap = word_bitmap(word)
    across, down = np.broadcast_arrays(across, down)
    inside = (across >= 0) & (across < 1) & (down >= 0) & (down < 1)
    row = np.clip((down * 7).astype(int), 0, 6)
    column = np.clip((across * bitmap.shape[1]).astype(int), 0, bitmap.shape[1] - 1)
    return scale * (inside & bitmap[row, column]).astype(np.float32)
