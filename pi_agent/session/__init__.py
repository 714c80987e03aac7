"""One launch: planned as one value, then carried out and supervised to its end."""
