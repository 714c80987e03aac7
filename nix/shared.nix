# Facts that the Nix code and the Python code both need, read from the file that both read.
builtins.fromJSON (builtins.readFile ../pi_agent/shared.json)
