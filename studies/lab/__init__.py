"""The machinery of the studies."""
