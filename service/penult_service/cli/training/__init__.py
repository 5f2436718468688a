"""The commands `penult train RECIPE`."""
