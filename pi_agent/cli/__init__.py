"""The command line: the programs' entry point, their arguments, and the sandbox commands."""
