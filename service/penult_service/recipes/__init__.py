"""Recipes that train servable models."""
