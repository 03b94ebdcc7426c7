"""Golden keys: what values and calls are called in every store there is."""
