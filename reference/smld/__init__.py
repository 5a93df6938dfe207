"""Chapter 3 of the tutorial: score matching with Langevin dynamics."""
