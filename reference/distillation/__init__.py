"""Students that sample in few steps: progressive distillation, consistency models, reflow."""
