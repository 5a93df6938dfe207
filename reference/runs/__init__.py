"""A training run on disk: its configuration, checkpoint, and the views that samplers take of it."""
