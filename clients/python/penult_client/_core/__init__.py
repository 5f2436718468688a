"""All that the client decides, without I/O: checks, splitting, order, retries, decoding."""
