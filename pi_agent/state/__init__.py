"""The user's own tree: what is synced from the host into it, and what Pi keeps there."""
