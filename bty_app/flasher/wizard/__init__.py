"""A person at a plain terminal chooses an image and a disk."""
