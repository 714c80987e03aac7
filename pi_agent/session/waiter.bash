# What the runner becomes while Pi runs (attendance.py), as root:
#
#     bash -p waiter.bash REPORT CLIENT QUEUES FREEZER SYSTEMCTL UNIT COMMAND…
#
# REPORT, CLIENT and QUEUES are descriptors: the report of launch.bash, a pipe whose other end only systemd-run has, and
# events of what is covered in the project; the last are none if nothing is. The kernel sends URG when there is something
# to read in one of them, or when it has ended. Then, or if a signal is to end the session, COMMAND is run with `changed`
# if it is about covers, with `news`, or with the name of the signal. Nothing is read here: what a trap interrupts would
# be lost.

report=$1 client=$2 queues=$3 freezer=$4 systemctl=$5 unit=$6
resume=("${@:7}")

wake() {
  # Until the command has handlers of its own, no signal may end it. But a signal to end the session must not be lost:
  # if it comes before the command can tell, the guard ends the session.
  trap '' HUP INT QUIT TERM
  [[ $1 != changed ]] || trap - HUP TERM
  exec -- "${resume[@]}" "$1"
}

# Pi decides what these two mean, and goes on or ends (signal_relay.py). So does the waiting.
pass_on() {
  # bash may lose a signal that comes while it waits for a command in a trap.
  "$systemctl" kill --kill-whom=main "--signal=$1" "$unit" </dev/null &>/dev/null &
}

look() {
  local queue
  for queue in $queues; do
    read -r -t 0 -u "$queue" || continue
    # Nothing may be changed before it is covered again.
    printf 1 2>/dev/null >"$freezer"
    wake changed
  done
  if read -r -t 0 -u "$report" || read -r -t 0 -u "$client"; then wake news; fi
}

trap 'pass_on 2' INT
trap 'pass_on 3' QUIT
for name in HUP TERM; do trap "wake $name" "$name"; done
trap look URG
# Nobody writes there, so this waits for its end. Now and then it stops waiting, because bash may see a signal too late:
# one that comes just before the wait is acted on after it.
while
  look
  read -r -t 5 -u "$client"
  (($? > 128))
do :; done
wake news
