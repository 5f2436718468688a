"""The recipe `penult train events`: sequences of events with the times between them."""
