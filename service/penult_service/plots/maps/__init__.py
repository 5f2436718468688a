"""Maps, as pictures and pages."""
