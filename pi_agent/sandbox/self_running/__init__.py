"""What a session left in the project that the host may run by itself: looked at, told, and disarmed on request."""
