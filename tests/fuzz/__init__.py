"""Fuzz targets for everything that parses bytes of others. `make fuzz`, or `python -m tests.fuzz TARGET`."""
