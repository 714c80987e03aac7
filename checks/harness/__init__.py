"""The parts of `checks/machine`: one module per concern, plans as values, one function that starts processes."""
