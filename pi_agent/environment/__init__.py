"""The variables of a session: who sets them, and where they are read from."""
