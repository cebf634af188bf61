"""A radiometric JPEG as FLIR's cameras write it, built from raw counts and Planck constants."""

import struct

import hostile_images
import numpy as np

PLANCK = {"r1": 17096.453, "b": 1428.0, "f": 1.0, "o": -342, "r2": 0.046642166}


def kelvin(raw):
    """Planck's law as FLIR states it, for emissivity 1 and no distance."""
    return PLANCK["b"] / np.log(PLANCK["r1"] / (PLANCK["r2"] * (raw.astype(np.float64) + PLANCK["o"])) + PLANCK["f"])


def radiometric_jpeg(raw):
    """A JPEG of its own size with raw counts, (h, w) of uint16, in its FLIR segment."""
    height, width = raw.shape
    pixels = bytearray(32) + raw.astype("<u2").tobytes()
    struct.pack_into("<HHH", pixels, 0, 2, width, height)
    info = bytearray(1000)
    emissivity, distance, reflected, air, window, transmission = 1.0, 0.0, 293.15, 293.15, 293.15, 1.0
    struct.pack_into("<6f", info, 32, emissivity, distance, reflected, air, window, transmission)
    struct.pack_into("<f", info, 60, 0.5)
    struct.pack_into("<3f", info, 88, PLANCK["r1"], PLANCK["b"], PLANCK["f"])
    struct.pack_into("<5f", info, 112, 0.006569, 0.01262, -0.002276, -0.00667, 1.9)
    struct.pack_into("<if", info, 776, PLANCK["o"], PLANCK["r2"])
    header = bytearray(64)
    header[:4] = b"FFF\0"
    struct.pack_into(">III", header, 0x14, 100, 64, 4)
    start = 64 + 64
    entries = b""
    for kind, subtype, content in ((1, 2, pixels), (32, 1, info)):
        entries += struct.pack(">HHIIII", kind, subtype, 100, 1, start, len(content)).ljust(32, b"\0")
        start += len(content)
    block = bytes(header) + entries + bytes(pixels) + bytes(info)
    parts = [block[at : at + 60_000] for at in range(0, len(block), 60_000)]
    segments = b"".join(
        b"\xff\xe1" + struct.pack(">H", len(part) + 10) + b"FLIR\0\1" + bytes([number, len(parts) - 1]) + part
        for number, part in enumerate(parts)
    )
    return b"\xff\xd8" + segments + hostile_images.jpeg()[2:]
