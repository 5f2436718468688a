"""Pictures and pages of clusters."""
