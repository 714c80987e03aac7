"""Scenarios: what people and agents experience on a machine that the module has set up. Run inside it, as root."""
