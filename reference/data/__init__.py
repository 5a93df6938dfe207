"""Data sets, data files, their units, and distances between samples."""
