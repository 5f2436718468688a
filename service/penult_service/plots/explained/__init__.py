"""Pictures of what masks and recurrent layers are."""
