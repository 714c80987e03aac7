"""One launch: planned as one value, then carried out and watched to its end."""
