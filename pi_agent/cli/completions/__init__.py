"""Tab completion, a module for each shell. What a shell gets starts no program at a tab."""
