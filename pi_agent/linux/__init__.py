"""The kernel and the system's services, as the programs use them. Nothing here knows a policy."""
