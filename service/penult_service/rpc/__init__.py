"""The gRPC surface: checks requests, hands them on, turns what comes back into messages. No TensorFlow."""
