"""The local page of `camfuse serve`: two images in, the fused one and why, in a browser."""
