"""Maps from the command line, and new rows on them."""
