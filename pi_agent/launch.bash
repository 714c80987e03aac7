# The first program inside the sandbox, run by the session's unit as the agent: bash -p launch.bash
#
# What to run comes as file descriptor 3 (systemd.exec(5), OpenFile=): NUL-terminated strings, what our command is
# called, the directory to start in, then the command. Arguments take this way because a unit's command line is
# readable by everyone, must be UTF-8 and knows % and $. Descriptor 4 is told that the sandbox stands; a launch without
# that word failed before Pi.

mapfile -d '' -t -u 3 request
exec 3<&-
unset LISTEN_FDS LISTEN_PID LISTEN_FDNAMES LISTEN_PIDFDID
printf started >&4
exec 4>&-
cd -- "${request[1]}" 2>/dev/null || {
  printf '%s: the directory you are in was moved away or cannot be entered by the agent\n' "${request[0]}" >&2
  printf '    For directories shared by a group there is m3ta.pi-agent.projectGroup.\n' >&2
  exit 77
}
# Nobody inside could wake a stopped Pi: the terminal's shell is not its parent.
trap '' TSTP
exec -- "${request[@]:2}"
