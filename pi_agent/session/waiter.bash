# What the runner becomes while Pi runs (attendance.py), as root:
#
#     bash -p waiter.bash REPORT ALIVE QUEUE FREEZER COMMAND…
#
# REPORT is the report of launch.bash. ALIVE ends with systemd-run. QUEUE has events of what is covered in the project;
# it is empty if nothing is. The kernel sends URG when there is something in one of the latter two. On any news, or a
# signal, the command is run with what happened: `heard TEXT`, `news`, or the name of the signal.

report=$1 alive=$2 queue=$3 freezer=$4
resume=("${@:5}")

wake() {
  # Until the command has handlers of its own, no signal may end it.
  trap '' HUP INT QUIT TERM
  exec -- "${resume[@]}" "$@"
}

look() {
  if [[ $queue ]] && read -t 0 -u "$queue"; then
    # Nothing may be changed before it is covered again.
    printf 1 2>/dev/null >"$freezer"
    wake news
  fi
  ! read -t 0 -u "$alive" || wake news
}

for name in HUP INT QUIT TERM; do trap "wake $name" "$name"; done
trap look URG
look # what has happened until here
# The agent can write to the report: no more than a part of it is kept here.
IFS= read -r -n 64 -u "$report" heard
wake heard "$heard"
