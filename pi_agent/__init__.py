"""The code that `runner.py` and `wrapper.py` share, in layers (floors). A module imports from its own and those below:

cli          the command line: entry point, arguments, sandbox commands
session      one launch: plan, carry out, guard, unit, signals, report, journal
sandbox      what a session may see and do: unit properties, mounts, protection
environment  variables: layers, env files, git identity
state        the user's own tree: sync, documents, transcripts
policy       what is allowed: the frozen policy, the accounts, the project roots
linux        the kernel and system services: paths, files, mounts, processes, identities
messages     every sentence that a user can see
python       light replacements for parts of the standard library that are slow to import

docs/architecture.md describes the design. Each module's docstring states its contract.
"""

import gc

from pi_agent.python import bundle

# By default, Python looks for garbage in cycles whenever there are 700 objects more, ten times while a launch imports,
# and finds none. That takes 1 ms. After the imports, a launch makes few objects, or switches the search off (sync).
gc.set_threshold(50_000)

bundle.use(__path__[0])
