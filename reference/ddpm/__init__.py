"""Chapter 2 of the tutorial: denoising diffusion probabilistic models, and DDIM.

E4 and the like are misprints of the tutorial, which ``python -m reference errata`` lists.
"""
