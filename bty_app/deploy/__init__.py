"""bty put onto a host, brought to a newer release there, and taken off again."""
