"""Light replacements for parts of the standard library: every launch would wait for the originals."""
