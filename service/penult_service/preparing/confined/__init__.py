"""The process that prepares, from outside and inside: what it is kept from, how it is watched."""
