"""Firmware boots from the server: a virtual machine, its own iPXE, and a live environment."""
