"""Measures the speed of pi-agent against what people would use instead: `make bench`. See docs/performance.md.

On the host: `__main__` starts the measurement in the machine and reports. In the machine, as its root: `measure`, with
`compared` (what each row runs), `hyperfine` (times), `held` (the reference of a launch), `prepared` (temporary changes
to the machine), `weight` (memory). Pure, and used on both sides: `rows`, `figures`, `results`.
"""
