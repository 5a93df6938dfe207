"""Chapter 1 of the tutorial: variational auto-encoders."""
