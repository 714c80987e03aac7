"""Access to the kernel and to system services. Nothing here knows the policy."""
