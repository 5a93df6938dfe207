"""Chapter 2 of the tutorial: denoising diffusion probabilistic models, and DDIM."""
