"""The nearest rows, exactly: what may be near is found in a rough way with a proven bound, float64 decides."""
