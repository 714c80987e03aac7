"""What is typed: the programs' entry point, their arguments, and the commands of the sandbox."""
