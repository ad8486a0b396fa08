"""How long training takes, here and elsewhere."""
