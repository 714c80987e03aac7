"""Attempts to escape from the sandbox, each beside a control that shows that it could have been made."""
