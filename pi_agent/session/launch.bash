# The first program inside the sandbox, and Pi's parent to the end: bash -p launch.bash, as the agent.
#
# Descriptor 5 is the gate: the runner says `go` there as soon as everything that the session sees is mounted, and its
# limits are set. Nothing of the agent's runs before. If the runner dies, the gate closes.
#
# Descriptor 3 (systemd.exec(5), OpenFile=) holds the request, written by then, as NUL-terminated strings: the message if
# the directory cannot be entered, the directory to start in, variables, an empty one, then the command. A unit's command
# line would not do: everyone can read it, it must be UTF-8, and it expands % and $. Variables that are the unit's own
# would act on the programs up to here.
#
# Descriptor 4 takes our report: `ready` when we wait to be let in, `started` when Pi is about to run, `ended N` with its
# exit status. systemd's own status is not enough: version 257 may mistake the first process of a PID namespace for
# somebody else's («which is not our child»), and then knows no status.

unset LISTEN_FDS LISTEN_PID LISTEN_FDNAMES LISTEN_PIDFDID
printf 'ready\n' >&4
IFS= read -r -u 5 answer 2>/dev/null && [[ $answer == go ]] || exit 69
exec 5<&-
mapfile -d '' -t -u 3 request
exec 3<&-

report_end() {
  printf 'ended %d\n' "$1" >&4
  exit "$1"
}

cd -- "${request[1]}" 2>/dev/null || {
  printf '%s\n' "${request[0]}" >&2
  report_end 77
}

# The first process of a PID namespace receives only signals that it has a handler for (pid_namespaces(7)).
pass_on() {
  passed_on=$1
  [[ -z $! ]] || kill -s "$1" "$!" 2>/dev/null
}
command=2
while [[ ${request[command]} ]]; do command=$((command + 1)); done

for name in HUP INT QUIT TERM; do trap "pass_on $name" "$name"; done

# Detach our own streams: a pipe must end when Pi closes it, and the user must not see bash's «Killed».
exec 5<&0 6>&1 7>&2 </dev/null &>/dev/null
(
  # An asynchronous command would ignore INT and QUIT.
  trap - HUP INT QUIT TERM
  printf 'started\n' >&4
  exec 4>&-
  # What bash itself has to say of a variable is not for the user.
  ((command == 2)) || export -- "${request[@]:2:command-2}" 2>/dev/null
  exec -- "${request[@]:command+1}"
) <&5 >&6 2>&7 5<&- 6>&- 7>&- &
exec 5<&- 6>&- 7>&-

# Signals interrupt `wait`. Two in quick succession do so without a telling status; only the process id tells.
while
  ended=
  wait -p ended "$!"
  status=$?
  [[ -z $ended ]] && ((status != 127))
do :; done
# If a signal arrives at the moment that Pi ends, bash loses the status: 5.2 takes -1 for it, 5.3 forgets the process.
[[ -n $ended ]] && ((status >= 0)) || status=$((128 + $(kill -l "${passed_on-KILL}")))
report_end "$status"
