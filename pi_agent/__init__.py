"""The rooms that `runner.py` and `wrapper.py` share, one per step of a launch.

docs/architecture.md tells the story; each module's docstring states its own contract.
"""
