"""bty: from power-on to a flashed, running operating system."""

__version__ = "0.92.0"
