"""What is allowed: the frozen policy, the two accounts of a launch, and the project roots."""
