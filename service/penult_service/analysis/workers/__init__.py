"""The processes that analyse: a pool of them, what travels to and fro, and the program that they run."""
