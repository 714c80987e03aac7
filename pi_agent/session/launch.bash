# The first program inside the sandbox, and Pi's parent to the end: bash -p launch.bash, as the agent.
#
# What to run comes as file descriptor 3 (systemd.exec(5), OpenFile=), as NUL-terminated strings: what to say if the
# directory cannot be entered, the directory to start in, then the command. They take this way because a unit's command
# line is readable by everyone, must be UTF-8 and expands % and $.
#
# Descriptor 4 takes our report: `started` when the sandbox stands and Pi is about to run, `ended N` with its exit
# status. systemd's word for it is not enough: version 257 may take the first process of a namespace of process ids for
# somebody else's («which is not our child») and then knows no status.

mapfile -d '' -t -u 3 request
exec 3<&-
unset LISTEN_FDS LISTEN_PID LISTEN_FDNAMES LISTEN_PIDFDID

report_end() {
  printf 'ended %d\n' "$1" >&4
  exit "$1"
}

cd -- "${request[1]}" 2>/dev/null || {
  printf '%s\n' "${request[0]}" >&2
  report_end 77
}

# The first process of its namespace hears no signal that it has no handler for (pid_namespaces(7)).
pass_on() {
  passed_on=$1
  [[ -z $! ]] || kill -s "$1" "$!" 2>/dev/null
}
for name in HUP INT QUIT TERM; do trap "pass_on $name" "$name"; done

# Our own streams are nobody's: a pipe ends when Pi closes it, and bash's «Killed» is not for the user.
exec 5<&0 6>&1 7>&2 </dev/null &>/dev/null
(
  # An asynchronous command would ignore INT and QUIT.
  trap - HUP INT QUIT TERM
  printf 'started\n' >&4
  exec 4>&-
  exec -- "${request[@]:2}"
) <&5 >&6 2>&7 5<&- 6>&- 7>&- &
exec 5<&- 6>&- 7>&-

# Signals interrupt this, and two in quick succession do so without a status that would tell: only the process id does.
while
  ended=
  wait -p ended "$!"
  status=$?
  [[ -z $ended ]]
do :; done
# A signal that comes in the moment of Pi's end makes bash (5.2) lose the status, and take -1 for it.
((status >= 0)) || status=$((128 + $(kill -l "${passed_on-KILL}")))
report_end "$status"
