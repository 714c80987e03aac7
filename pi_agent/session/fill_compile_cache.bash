# Makes Node's compile cache of Pi's package, for sessions to read:
#
#   bash -p fill_compile_cache.bash PROGRAM NAME FORGET AGENT...
#
# Runs as a user that exists only for its service, in a sandbox without a network (nix/host/compile-cache.nix). It runs
# PROGRAM, the administrator's package, and trusts it with the cache: nobody else can write there. It replaces everything
# in $CACHE_DIRECTORY by NAME, which everybody may read:
#
#   NAME/node/v24.21.0-x64-964aae3f-61999   the entries, under the name that Node chose
#   NAME/node/v24.21.0-x64-964aae3f-996     a link to it for each AGENT
#
# Node's name for the folder ends with the user's id (src/compile_cache.cc, GetCacheVersionTag). Before that come Node's
# version, the architecture, and a tag of V8 that depends on the processor and on V8's flags. A session that needs another
# name finds no folder and cannot make one; Node then works without a cache. Without a compile cache of Node's, NAME is
# empty. FORGET is forget_compile_cache.cjs.

program=$1 name=$2 forget=$3
shift 3

cd -- "$CACHE_DIRECTORY" || exit 1
shopt -s nullglob dotglob
home=$(mktemp -d) && rm -rf -- new && mkdir -p new/node "$home/.pi/agent" || exit 1

export HOME=$home TERM=xterm
# As in a session.
export NODE_COMPILE_CACHE=$PWD/new/node NODE_OPTIONS=--require=$forget
# Pi skips what it would ask the network for.
export PI_OFFLINE=1

# Runs a command for a minute at most. What it compiled counts, not how it ends.
run() {
  (cd -- "$home" && exec timeout --kill-after=2 60 "$@")
}

# Code for a provider is loaded with the first request. Nobody answers here, and Pi does not try again.
ask() {
  local api apis=(anthropic-messages openai-completions openai-responses openai-codex-responses google-generative-ai)
  local provider='"%s": {"api": "%s", "baseUrl": "http://127.0.0.1:9", "apiKey": "none", "models": [{"id": "none"}]}'
  {
    printf '{"providers": {'
    for api in "${apis[@]}"; do printf "$provider, " "$api" "$api"; done
    printf "$provider}}" none "${apis[0]}"
  } >"$home/.pi/agent/models.json"
  printf '{"retry": {"enabled": false, "provider": {"maxRetries": 0}}}' >"$home/.pi/agent/settings.json"
  for api in "${apis[@]}"; do
    run "$program" --provider "$api" --model none --print none </dev/null
  done
}

# The interface, on a terminal, until it has been quiet for three seconds. When its own input ends, script(1) types
# Ctrl-D, on which Pi ends.
show() {
  local output seconds=30
  coproc screen { run script --quiet --command "exec $program" /dev/null; }
  exec {output}<&"${screen[0]}"
  while IFS= read -r -t "$seconds" -n 1 -d '' -u "$output"; do seconds=3; done
  { exec {screen[1]}>&-; } 2>/dev/null
  wait
}

run "$program" --version </dev/null
# A program that did not end will not do so the next time.
(($? == 124 || $? == 137)) || { ask && show; }
rm -rf -- "$home"

# Entries of which only a part was written.
rm -f -- new/node/*/*.??????
uid=$(id -u)
made=(new/node/*-"$uid"/*)
echo "entries in the compile cache: ${#made[@]}"
for folder in new/node/*-"$uid"; do
  for agent in "$@"; do
    agent_uid=$(id -u -- "$agent") && ln -s -- "${folder##*/}" "${folder%-*}-$agent_uid"
  done
done
((${#made[@]})) || rm -rf -- new/node

# Node writes entries for its own user alone.
chmod -R a+rX,go-w new || exit 1
for old in *; do
  [[ $old == new ]] || rm -rf -- "$old"
done
mv -T -- new "$name"
