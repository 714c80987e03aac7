"""Stand-ins for parts of the standard library whose import every launch would wait for."""
