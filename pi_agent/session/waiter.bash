# What the runner becomes while Pi runs (attendance.py), as root:
#
#     bash -p waiter.bash REPORT CLIENT QUEUES FREEZER SYSTEMCTL UNIT COMMAND…
#
# REPORT, CLIENT and QUEUES are descriptors: the report of launch.bash, a pipe whose other end only systemd-run has, and
# events of what is covered in the project; the last are none if nothing is. The kernel sends URG when there is something
# in one of the latter. Once the report says anything or ends, systemd-run ends, something that is covered has
# changed, or a signal is to end the session, COMMAND is run with what happened: `heard TEXT`, `news`, or the name of the
# signal.

report=$1 client=$2 queues=$3 freezer=$4 systemctl=$5 unit=$6
resume=("${@:7}")

wake() {
  # Until the command has handlers of its own, no signal may end it. But a signal to end the session must not be lost:
  # if it comes before the command can tell, the guard ends the session.
  trap '' HUP INT QUIT TERM
  [[ $1 != news ]] || trap - HUP TERM
  exec -- "${resume[@]}" "$@"
}

# Pi decides what these two mean, and goes on or ends (signal_relay.py). So does the waiting.
pass_on() {
  "$systemctl" kill --kill-whom=main "--signal=$1" "$unit" </dev/null &>/dev/null
}

look() {
  local queue
  for queue in $queues; do
    read -r -t 0 -u "$queue" || continue
    # Nothing may be changed before it is covered again.
    printf 1 2>/dev/null >"$freezer"
    wake news
  done
  ! read -r -t 0 -u "$client" || wake news
}

trap 'pass_on 2' INT
trap 'pass_on 3' QUIT
for name in HUP TERM; do trap "wake $name" "$name"; done
trap look URG
look # what has happened before there was a trap
# The agent can write to the report: no more than a part of it is kept here.
# A signal that comes in the instant before `read` waits is noticed too late: so it waits for some seconds at a time.
while
  IFS= read -r -n 64 -t 5 -u "$report" heard
  (($? > 128)) && [[ -z $heard ]]
do look; done
wake heard "$heard"
