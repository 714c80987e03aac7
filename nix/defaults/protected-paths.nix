# Paths in a project that run code on the host: those of the table that Python reads too, and that
# docs/self-running.md shows.
let
  table = builtins.fromJSON (builtins.readFile ../../pi_agent/sandbox/self_running_files.json);
in
builtins.concatMap (entry: if entry.treatment == "protected" then entry.patterns else [ ]) table.files
