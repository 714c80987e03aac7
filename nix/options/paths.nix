# Which files of the project and of the host a session sees, and which of them it can change.
{ lib, ... }:
let
  inherit (lib)
    literalExpression
    literalMD
    mkOption
    types
    ;
in
{
  options.m3ta.pi-agent.sandbox = {
    protectedPaths = mkOption {
      type = types.listOf types.str;
      default = import ../defaults/protected-paths.nix;
      defaultText = literalMD "the files that [self-running.md](self-running.md#protected) calls protected";
      example = literalExpression ''
        options.m3ta.pi-agent.sandbox.protectedPaths.default ++ [ "ansible.cfg" ]
      '';
      description = ''
        Files and directories in a project that run code on the host when the
        user enters the project, opens it in an editor, commits, or types the
        most common command of a tool. Where they exist they are read-only in
        the sandbox, and the agent cannot replace them by renaming a directory
        above them. Paths are relative to the project root, to each directory
        between it and the working directory, and to every git repository below
        the root. `*` matches any characters within one component. Paths
        that do not exist are not created.

        {file}`.git/hooks` and {file}`.git/config` stand for more: the hooks of
        every git directory below the root, be it that of a submodule, a
        worktree or a bare repository; and its configuration, the files that
        point to it, and what settings name to run, to include or to obey.

        A value replaces the default. The example adds to it, in a module that
        takes `options` as an argument. Files that are edited every day, such as
        {file}`package.json`, {file}`Makefile` or {file}`flake.nix`, are not in
        the default: review them before you run them.
      '';
    };

    hiddenPaths = mkOption {
      type = types.listOf types.str;
      default = import ../defaults/hidden-paths.nix;
      example = literalExpression ''
        options.m3ta.pi-agent.sandbox.hiddenPaths.default ++ [ "documents/*.kdbx" ]
      '';
      description = ''
        Secrets in the host user's home that stay hidden if they lie in the
        project root, for example because the project root is the home itself.
        The agent sees an empty file or directory in their place. Paths are
        relative to the home; `*` matches any characters within one component.
        Secrets outside the project root are never visible.

        A value replaces the default. The example adds to it, in a module that
        takes `options` as an argument.
      '';
    };

    readOnlyPaths = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [
        "/srv/data"
        "/run/postgresql"
      ];
      description = ''
        Absolute paths of further directories, files or sockets of the host that
        every session sees at the same place, read-only. A program can still
        connect to a socket. Permissions apply as they do to the host user, whose
        files appear as the agent's own. The agent does not start if a path does
        not exist, or if it leads through a symbolic link that someone other
        than root can change.
      '';
    };

    readWritePaths = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "/srv/scratch" ];
      description = ''
        Like {option}`m3ta.pi-agent.sandbox.readOnlyPaths`, but the agent can
        write there, and what it creates belongs to the host user.
        {option}`m3ta.pi-agent.sandbox.protectedPaths` and
        {option}`m3ta.pi-agent.sandbox.hiddenPaths` do not apply below these
        paths.
      '';
    };
  };
}
