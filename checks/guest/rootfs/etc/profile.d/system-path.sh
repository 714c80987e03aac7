# As on NixOS: packages of the user, then those of the system.
PATH="/etc/profiles/per-user/${USER:-root}/bin:/run/current-system/sw/bin:$PATH"
