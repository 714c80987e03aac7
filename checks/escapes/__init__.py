"""Attempts to escape from the sandbox, each with a control that proves the attempt possible outside."""
