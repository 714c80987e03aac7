# The guard of a session, until its runner dies (guard.py): bash -p guard.bash COMMAND…, as root.
#
# Descriptor 3 is a pipe from the runner. It says `ended` there when nothing is left of the session; the pipe ends when
# the runner dies. All signals that could end the guard are blocked.

printf pi-agent-guard >/proc/self/comm
IFS= read -r -u 3 word && [[ $word == ended ]] && exit 0
exec -- "$@"
