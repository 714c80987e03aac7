"""What `checks/machine` is made of: one room per concern, the plan as values, one function that starts processes."""
