"""The environment of a session: variable layers, env files and the git identity."""
