"""Dropout put back into a prepared model, with masks made of keys: `docs/adr/013-dropout-put-back.md`."""
