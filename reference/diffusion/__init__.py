"""The parts that all methods share: schedules, predictions, mixtures, the denoiser, training."""
