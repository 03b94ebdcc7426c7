"""The teammates' own package: features of handwritten digits."""
