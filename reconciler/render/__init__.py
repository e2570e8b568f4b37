"""Results as text for people and as JSON for programs. Pure: no I/O, no decisions, no imports of what computes."""
