"""Data sets, files of data, their units, and distances between samples."""
