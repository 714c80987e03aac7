"""What scenarios, escapes and benchmarks share: they run on the machine as its root, and this drives it."""
