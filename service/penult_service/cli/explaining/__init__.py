"""The commands of `penult explain`."""
