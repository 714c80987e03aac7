"""Measures the speed of pi-agent against what people would use instead: `make bench`. See docs/performance.md.

On the host: `__main__` starts the measurement in the machine and reports; `kept` keeps the results. In the machine, as
its root: `measure`, with `compared` (what measures each row), `launching`, `real_pi`, `large_projects`, `syncing`,
`throughput` (those rows), `hyperfine` (times), `by_hand` and `held` (the references of a launch), `prepared` (temporary
changes to the machine), `weight` (memory). Pure, and used on both sides: `rows`, `figures`, `results`.
"""
