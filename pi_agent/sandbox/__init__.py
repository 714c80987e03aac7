"""What a session may see and do: unit properties, mounts, protected and hidden paths, the system call filter."""
