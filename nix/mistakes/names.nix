# What is wrong with a name: each function returns the end of a sentence, or null.
rec {
  # A program's file name. Nix also uses it as the name of a store path.
  program =
    name:
    if builtins.match "[A-Za-z0-9_][A-Za-z0-9_.+-]*" name == null then
      "is not a valid program name; use letters, digits, `_`, `.`, `+` and `-`, and start with a letter, a digit or `_`."
    else
      null;

  # An account of this machine. NixOS ends the evaluation where the name of one is longer. systemd, sudo and
  # tmpfiles read a name of digits as an ID. In sudo, names that start with `%`, `#`, `+` or `!` have other
  # meanings.
  account =
    name:
    if builtins.stringLength name > 31 then
      "is longer than 31 characters; use a shorter name."
    else if builtins.match "[A-Za-z0-9_][A-Za-z0-9_.-]*" name == null then
      "is not a valid account name; use letters, digits, `_`, `.` and `-`, and start with a letter, a digit or `_`."
    else if builtins.match "[0-9]+" name != null then
      "is a number and would be read as an ID; use a name."
    else if name == "root" then
      "would give the agent root's rights; use a dedicated account."
    else
      null;

  # owner: of the agents' state. A person's account may be one of a directory service,
  # `name@domain`.
  hostUser =
    owner: name:
    let
      parts = builtins.match "([^@]*)(@[A-Za-z0-9][A-Za-z0-9.-]*)?" name;
    in
    if name == "root" then
      "must not be a host user, because the agent's edits would belong to root; list the person's own account."
    else if name == owner then
      "owns the agents' state (m3ta.pi-agent.user); list the person's own account."
    else if name == "ALL" then
      "means every user to sudo, so anyone could call the runner; list each user by name."
    else
      account (if parts == null then name else builtins.head parts);
}
