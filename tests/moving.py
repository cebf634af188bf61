"""Small generated videos: a drifting texture whose frames can be told apart, sound, and how to read them back."""

import av
import numpy as np

HEIGHT, WIDTH = 64, 96


def texture(index, seed=0, height=HEIGHT, width=WIDTH):
    """(h, w) uint8: blocks that move 3 pixels a frame."""
    rng = np.random.default_rng(seed)
    large = np.kron(rng.integers(30, 226, (20, 60)), np.ones((8, 8))).astype(np.uint8)
    return np.ascontiguousarray(large[:height, 3 * index : 3 * index + width])


def write_video(path, frames, rate, *, sound=False, codec="libx264", pix_fmt="yuv420p", options=None, container=None):
    """Frames (h, w) or (h, w, 3) uint8, or (h, w) uint16 with a deep gray pixel format; nearly lossless by default."""
    with av.open(str(path), "w", options=container or {}) as container:
        stream = container.add_stream(codec, rate=rate, options={"crf": "4"} if options is None else options)
        stream.pix_fmt = pix_fmt
        audio = container.add_stream("aac", rate=48000, layout="mono") if sound else None
        count = 0
        for count, samples in enumerate(frames, start=1):
            if count == 1:
                stream.height, stream.width = samples.shape[:2]
            kind = "rgb24" if samples.ndim == 3 else "gray16le" if samples.dtype == np.uint16 else "gray"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(samples, format=kind)))
        container.mux(stream.encode(None))
        if audio is not None:
            _write_sound(container, audio, 48000 * count // rate)
    return path


def _write_sound(container, audio, samples):
    wave = (0.3 * np.sin(2 * np.pi * 440 * np.arange(samples) / 48000)).astype(np.float32)
    for begin in range(0, samples, 1024):
        frame = av.AudioFrame.from_ndarray(wave[None, begin : begin + 1024], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 48000, begin
        container.mux(audio.encode(frame))
    container.mux(audio.encode(None))


def read_video(path):
    """Times, and frames as (n, h, w, 3)."""
    with av.open(str(path)) as container:
        found = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    return [time for time, _ in found], np.stack([frame for _, frame in found])


def sound_of(path):
    """Codec and content of all packets of the first sound stream."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        return stream.codec_context.name, [bytes(packet) for packet in container.demux(stream) if packet.size]
