"""What all methods share: schedules, predictions, mixtures, the denoiser and its training."""
