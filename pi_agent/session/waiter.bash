# What the runner becomes while Pi runs (attendance.py), as root:
#
#     bash -p waiter.bash REPORT CLIENT QUEUE FREEZER SYSTEMCTL UNIT COMMAND…
#
# REPORT, CLIENT and QUEUE are descriptors: the report of launch.bash, a pipe whose other end only systemd-run has, and
# events of what is covered in the project; the last is empty if nothing is. The kernel sends URG when there is something
# to read in one of them, or when it has ended. Then, or if a signal is to end the session, COMMAND is run with `news` or
# the name of the signal. Nothing is read here: what a trap interrupts would be lost.

report=$1 client=$2 queue=$3 freezer=$4 systemctl=$5 unit=$6
resume=("${@:7}")

wake() {
  # Until the command has handlers of its own, no signal may end it.
  trap '' HUP INT QUIT TERM
  exec -- "${resume[@]}" "$1"
}

# Pi decides what these two mean, and goes on or ends (signal_relay.py). So does the waiting.
pass_on() {
  "$systemctl" kill --kill-whom=main "--signal=$1" "$unit" </dev/null &>/dev/null
}

look() {
  if [[ $queue ]] && read -r -t 0 -u "$queue"; then
    # Nothing may be changed before it is covered again.
    printf 1 2>/dev/null >"$freezer"
    wake news
  fi
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
