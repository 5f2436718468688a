"""Maps, and new rows on them."""
