# Makes Node's compile cache of Pi's package, for sessions to read: bash -p fill_compile_cache.bash PROGRAM NAME AGENT...
#
# Runs as a user of its own that exists only for this service, in a sandbox without a network (nix/host/compile-cache.nix).
# Runs PROGRAM, which is the administrator's package, and trusts it with the cache: nobody else can write there. Leaves
# $CACHE_DIRECTORY/NAME, readable by all, and nothing else beside it:
#
#   NAME/node/v24.21.0-x64-964aae3f-61999   the entries, under the name that Node chose
#   NAME/node/v24.21.0-x64-964aae3f-996     a link to it for each AGENT
#
# Node's name for the folder ends with the user's id (src/compile_cache.cc, GetCacheVersionTag). Before that come the
# version, the architecture, and a tag of V8 that depends on the processor and on V8's flags. Where a session needs
# another name, it finds no folder and cannot make one, and Node works without a cache. A package that is not Node's
# leaves NAME empty.

set -u
program=$1 name=$2
shift 2

cd -- "$CACHE_DIRECTORY" || exit 1
shopt -s nullglob dotglob
rm -rf -- new
mkdir -p new/node || exit 1

home=$(mktemp -d) || exit 1
export HOME=$home TERM=xterm NODE_COMPILE_CACHE=$PWD/new/node
# Pi's own words for this. There is no network anyway; this spares the attempts.
export PI_OFFLINE=1 PI_SKIP_VERSION_CHECK=1 PI_TELEMETRY=0

# Whatever the program does, its exit status included, is of no concern: what it compiled is kept.
run() { (cd -- "$home" && exec timeout --kill-after=2 "$@"); }
run 30 "$program" --version </dev/null

# Its interface, on a terminal, until that has been quiet for a second. Ctrl-D, which script(1) types when its own input
# ends, ends Pi; what does not end is ended.
coproc screen { run 30 script --quiet --command "exec $program" /dev/null; }
exec {output}<&"${screen[0]}" {input}>&"${screen[1]}"
wait=20
while IFS= read -r -t "$wait" -n 1 -d '' -u "$output"; do wait=1; done
# bash's own descriptors of the two, and ours.
eval "exec ${screen[1]}>&-" 2>/dev/null
exec {input}>&-
while IFS= read -r -t 3 -n 1 -d '' -u "$output"; do :; done
[[ -z ${screen_PID-} ]] || kill "$screen_PID" 2>/dev/null
wait

uid=$(id -u)
for made in new/node/*-"$uid"; do
  for agent in "$@"; do
    agent_uid=$(id -u -- "$agent") && ln -s -- "${made##*/}" "${made%-*}-$agent_uid"
  done
done
# What was being written when the program was ended.
rm -f -- new/node/*/*.??????
made=(new/node/*-"$uid"/*)
((${#made[@]})) || rm -rf -- new/node
echo "modules in the cache: ${#made[@]}"

# Node writes its entries for the user alone.
chmod -R a+rX,go-w new || exit 1
for old in *; do
  [[ $old == new ]] || rm -rf -- "$old"
done
mv -T -- new "$name"
