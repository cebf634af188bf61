"""Small generated videos: a drifting texture whose frames can be told apart, sound, and how to read them back."""

from fractions import Fraction

import av
import numpy as np

HEIGHT, WIDTH = 64, 96


def texture(index, seed=0, height=HEIGHT, width=WIDTH):
    """(h, w) uint8: blocks that move 3 pixels a frame."""
    rng = np.random.default_rng(seed)
    large = np.kron(rng.integers(30, 226, (20, 60)), np.ones((8, 8))).astype(np.uint8)
    return np.ascontiguousarray(large[:height, 3 * index : 3 * index + width])


def write_video(
    path,
    frames,
    rate,
    *,
    sound=None,
    codec="libx264",
    pix_fmt="yuv420p",
    options=None,
    container=None,
    begin=0.0,
    display=None,
):
    """Frames (h, w) or (h, w, 3) uint8, or (h, w) uint16 with a deep gray pixel format; nearly lossless by default.

    `sound` is the second at which a tone begins, `begin` the first frame's time on the file's own clock, `display` what
    PyAV's `set_display_rotation` takes.
    """
    with av.open(f"file:{path}", "w", options=container or {}) as container:
        stream = container.add_stream(codec, rate=rate, options={"crf": "4"} if options is None else options)
        stream.pix_fmt = pix_fmt
        if display is not None:
            stream.set_display_rotation(*display)
        if begin:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        audio = None if sound is None else container.add_stream("aac", rate=48000, layout="mono")
        count = 0
        for count, samples in enumerate(frames, start=1):
            if count == 1:
                stream.height, stream.width = samples.shape[:2]
            kind = "rgb24" if samples.ndim == 3 else "gray16le" if samples.dtype == np.uint16 else "gray"
            frame = av.VideoFrame.from_ndarray(samples, format=kind)
            if begin:
                frame.pts, frame.time_base = round(1000 * (begin + (count - 1) / rate)), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if audio is not None:
            _write_sound(container, audio, sound, 48000 * count // rate)
    return path


def _write_sound(container, audio, begin, samples):
    """A tone from `begin` seconds on."""
    time = np.arange(samples) / 48000
    wave = (0.3 * np.sin(2 * np.pi * 440 * time) * (time >= begin)).astype(np.float32)
    for first in range(0, samples, 1024):
        frame = av.AudioFrame.from_ndarray(wave[None, first : first + 1024], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 48000, first
        container.mux(audio.encode(frame))
    container.mux(audio.encode(None))


def read_video(path):
    """Times, and frames as (n, h, w, 3)."""
    with av.open(f"file:{path}") as container:
        found = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    return [time for time, _ in found], np.stack([frame for _, frame in found])


def sound_of(path):
    """Codec and content of all packets of the first sound stream."""
    with av.open(f"file:{path}") as container:
        stream = container.streams.audio[0]
        return stream.codec_context.name, [bytes(packet) for packet in container.demux(stream) if packet.size]


def tone_begins(path):
    """Second at which the sound gets loud."""
    with av.open(f"file:{path}") as container:
        for frame in container.decode(audio=0):
            loud = np.flatnonzero(np.abs(frame.to_ndarray()[0]) > 0.1)
            if loud.size:
                return frame.time + loud[0] / 48000
    return None
