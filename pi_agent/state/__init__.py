"""The user's own tree: what sync copies into it from the host, and what Pi keeps there."""
