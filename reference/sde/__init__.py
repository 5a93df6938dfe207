"""Chapter 4 of the tutorial: stochastic differential equations."""
