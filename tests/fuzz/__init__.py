"""Fuzz targets for everything that parses foreign bytes. `make fuzz`, or `python -m tests.fuzz TARGET`."""
