"""Shared by scenarios, escapes and benchmarks. They run on the machine as root, and drive it with these modules."""
