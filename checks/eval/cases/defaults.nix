# The default lists.
{
  ask,
  case,
  configs,
  lib,
  options,
  ...
}:
let
  inherit (options.m3ta.pi-agent) sandbox;
  table = builtins.fromJSON (builtins.readFile ../../../pi_agent/sandbox/self_running_files.json);
  treated =
    treatment:
    lib.concatMap (entry: entry.patterns) (
      lib.filter (entry: entry.treatment == treatment) table.files
    );
  lacking = list: lib.filter (path: !lib.elem path list);
in
{
  "protectedPaths: the default is what docs/self-running.md calls protected" =
    case (treated "protected") sandbox.protectedPaths.default;
  "protectedPaths: the default leaves out what may change" = case [ ] (
    lib.filter (path: lib.elem path sandbox.protectedPaths.default) (treated "told" ++ treated "left")
  );
  "protectedPaths: the default has what runs at a prompt, in an editor, at a commit and at login" =
    case [ ] (
      lacking sandbox.protectedPaths.default [
        ".bashrc"
        ".cargo/config.toml"
        ".config/nvim"
        ".config/systemd"
        ".dir-locals-2.el"
        ".envrc"
        ".envrc.*"
        ".git/config"
        ".git/hooks"
        ".lintstagedrc*"
        ".local/bin"
        ".local/share/systemd/user"
        ".opencode"
        ".tool-versions"
        ".vim"
        ".vimrc"
        ".vscode"
        "*.sublime-project"
        "mise.*.toml"
        "opencode.json"
      ]
    );
  "protectedPaths: the default leaves out what any build edits" = case [ ] (
    lib.filter (path: lib.elem path sandbox.protectedPaths.default) [
      ".env"
      ".git"
      ".gitignore"
      "Makefile"
      "flake.nix"
      "package.json"
    ]
  );
  "hiddenPaths: the default has sockets of agents for keys" = case [ ] (
    lacking sandbox.hiddenPaths.default [
      ".1password"
      ".gnupg"
      ".ssh"
    ]
  );
  "the defaults pass their own checks" = case [ ] (ask.complaints configs.base);
}
// lib.concatMapAttrs (name: option: {
  "${name}: the default has no duplicates" = case (lib.unique option.default) option.default;
}) { inherit (sandbox) protectedPaths hiddenPaths denyAddresses; }
