"""Access to the kernel and to system services. This layer knows nothing of the policy."""
