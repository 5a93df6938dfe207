"""Chapter 5 of the tutorial: Langevin equations, and the master and Fokker-Planck equations for
their distributions.
"""
