"""Targets that are made from other libraries: one module for each."""
