"""What `runner.py` and `wrapper.py` share, on floors. A module imports from its own floor and those below, never up:

cli          what is typed: entry point, arguments, the commands of the sandbox
session      one launch: plan, carry out, guard, unit, signals, report, journal
sandbox      what a session may see and do: unit properties, mounts, protection
environment  variables: layers, env files, git identity
state        the user's own tree: sync, documents, transcripts
policy       the frozen policy, the accounts, the project roots: what is allowed
linux        the kernel and system services: paths, files, mounts, processes, identities
messages     every sentence that a user can meet
python       stand-ins for parts of the standard library that are slow to import

docs/architecture.md tells the story; the first lines of each module are its contract.
"""
