"""The trained network as a file that runs without this package: ONNX and serialized StableHLO."""
