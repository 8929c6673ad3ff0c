"""Writes an image onto a disk: fetched, decoded, checked and written at the same time."""
