"""Scenarios: what people and agents experience on a machine that the module has set up. They run inside it, as root."""
