# What the runner becomes while Pi runs (attendance.py): bash -p waiter.bash DESCRIPTOR COMMAND…, as root.
#
# The descriptor is the report of launch.bash. As soon as it says anything or ends, or a signal arrives, the command is
# run with what happened: `heard TEXT`, or the name of the signal. IO is the signal that systemd-run has ended.

resume=("${@:2}")
wake() {
  # Until the command has handlers of its own, no signal may end it.
  trap '' HUP INT QUIT TERM IO
  exec -- "${resume[@]}" "$@"
}
for name in HUP INT QUIT TERM IO; do trap "wake $name" "$name"; done
# The agent can write to the report: no more than a part of it is kept here.
IFS= read -r -n 64 -u "$1" heard
wake heard "$heard"
