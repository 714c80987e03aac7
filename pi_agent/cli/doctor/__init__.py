"""The checks of `--sandbox-doctor`, a module for each theme; checks.py has the list.

As root they leave nothing behind: what is mounted for a try is attached nowhere, and the one unit that is started has
no name of ours and ends at once. They say whether files can be used, never what is in them.
"""
