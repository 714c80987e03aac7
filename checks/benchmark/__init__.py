"""How fast it is, beside what people would use instead: `make bench`, explained in docs/performance.md.

On the host: `__main__`, which has the machine measure and reports. In the machine, as its root: `measure`, with
`compared` (what each row runs), `hyperfine` (times), `held` (the reference of a launch), `prepared` (what the machine
is given for the time of it), `weight` (memory). Pure, and used on both sides: `rows`, `figures`, `results`.
"""
