"""One infrared/visible pair as arrays: prepared, registered and fused."""
