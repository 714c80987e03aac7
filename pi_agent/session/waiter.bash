# What the runner becomes while Pi runs (attendance.py), as root:
# bash -p waiter.bash REPORT CLIENT SYSTEMCTL UNIT COMMAND…
#
# REPORT and CLIENT are descriptors: the report of launch.bash, and a pipe whose other end only systemd-run has. Once the
# report says anything or ends, systemd-run ends (URG), or a signal is to end the session, COMMAND is run with what
# happened: `heard TEXT`, or the name of the signal.

report=$1 client=$2 systemctl=$3 unit=$4
resume=("${@:5}")
wake() {
  # Until the command has handlers of its own, no signal may end it.
  trap '' HUP INT QUIT TERM
  exec -- "${resume[@]}" "$@"
}
# Pi decides what these two mean, and goes on or ends (signal_relay.py). So does the waiting.
pass_on() {
  "$systemctl" kill --kill-whom=main "--signal=$1" "$unit" </dev/null &>/dev/null
}
trap 'pass_on 2' INT
trap 'pass_on 3' QUIT
for name in HUP TERM URG; do trap "wake $name" "$name"; done
# systemd-run may have ended before there was a trap: then reading would not wait.
read -r -t 0 -u "$client" && wake URG
# The agent can write to the report: no more than a part of it is kept here.
IFS= read -r -n 64 -u "$report" heard
wake heard "$heard"
