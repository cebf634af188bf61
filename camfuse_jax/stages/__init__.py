"""The stages behind `experiments/run.py`: data, ae, cls, fuse, eval, table, figures, all."""
