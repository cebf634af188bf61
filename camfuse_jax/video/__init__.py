"""Videos, folders of frames and cameras: read, matched, fused and written."""
