"""The models that a server has: where they are, which versions there are, in what state each is."""
