#!/usr/bin/env bash
# Three virtual machines under one freeze: whatever happens at whichever step, all are thawed, as
# the guests themselves see it. Usage: freeze_vms_test.sh TOOL
#
# shellcheck disable=SC2016 # what is in single quotes is for the shells of the guests
set -euo pipefail

tool=$1
run_sh=$(cd "$(dirname "$0")/../vm" && pwd)/run.sh
dir=$(mktemp -d /tmp/qga-vms.XXXXXX)
failures=0 checks=0 err='' lives=()
names=(cache db web)
pattern="$dir/guests/*.sock"

finish() {
  for life in "${lives[@]}"; do exec {life}>&-; done
  for name in "${names[@]}"; do # run.sh ends its VM when its input ends
    while [[ -s $dir/$name.dir && -d $(<"$dir/$name.dir") ]]; do sleep 0.1; done
  done
  rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# check WHAT EXPECTED GOT
check() {
  checks=$((checks + 1))
  [[ $2 == "$3" ]] && return
  failures=$((failures + 1))
  printf 'FAILED: %s\n  expected: %s\n  got:      %s\n  the last: %s\n' "$@" "$err"
}

# ---- three machines ------------------------------------------------------------------------------

mkdir "$dir/guests" "$dir/observers"
"$run_sh" -- true # builds the guest, and finds out how to run it
stay='echo "$QGA_VM" >"$1.new" && mv "$1.new" "$1.dir" && exec cat' # until this script ends
for name in "${names[@]}"; do
  exec {life}> >(exec "$run_sh" -- sh -c "$stay" stay "$dir/$name" >/dev/null 2>"$dir/$name.log")
  lives+=("$life")
done
for name in "${names[@]}"; do
  for _ in {1..1200}; do
    [[ ! -s $dir/$name.dir ]] || break
    sleep 0.1
  done
  vm=$(<"$dir/$name.dir")
  ln -s "$vm/agent.sock" "$dir/guests/$name.sock"
  ln -s "$vm/observer.sock" "$dir/observers/$name.sock"
done

# inside NAME SCRIPT: runs it in the guest, beside the agent that freezes.
inside() {
  "$tool" "$dir/observers/$1.sock" run --for 60 -- sh -c "$2"
}
# probe NAME SECONDS: whether the guest's file systems can be written to within that time, as the
# guest sees it. What writes to a frozen one goes on with the thaw.
probe() {
  echo "$1=$(inside "$1" '
    for l in a b; do
      (cd /mnt/$l && echo x >probe.$$ && sync probe.$$ && rm probe.$$ && touch /tmp/$l.$$) \
        </dev/null >/dev/null 2>&1 &
    done
    for i in $(seq '"$(($2 * 10))"'); do
      [ -e /tmp/a.$$ ] && [ -e /tmp/b.$$ ] && echo thawed && exit
      usleep 100000
    done
    [ -e /tmp/a.$$ ] || [ -e /tmp/b.$$ ] && echo half || echo frozen')"
}
# probe_all SECONDS [NAME...]: all three, or some, at the same time.
probe_all() {
  local name seconds=$1
  shift
  for name in "${@:-${names[@]}}"; do probe "$name" "$seconds" & done | sort | tr '\n' ' '
}
all_frozen='cache=frozen db=frozen web=frozen '
all_thawed='cache=thawed db=thawed web=thawed '
frozen_now() { probe_all 1; }
thawed_now() { probe_all 30; }
export tool dir
export -f inside probe probe_all
# What runs while the guests are frozen, where it has to look into them.
look="names=(${names[*]}); probe_all 1"

# qga ARGS...: sets out, err and code.
qga() {
  code=0
  "$tool" "$pattern" "$@" >"$dir/out" 2>"$dir/err" || code=$?
  out=$(<"$dir/out") err=$(<"$dir/err")
}
# begin ARGS...: the same in the background; `end` waits for it.
begin() {
  : >"$dir/err"
  env --default-signal=INT,HUP "$tool" "$pattern" "$@" </dev/null >"$dir/out" 2>"$dir/err" &
  tool_pid=$!
}
end() {
  code=0
  wait "$tool_pid" || code=$?
  out=$(<"$dir/out") err=$(<"$dir/err")
}
# await TEXT: until the tool in the background has said so.
await() {
  for _ in {1..400}; do
    grep -q "$1" "$dir/err" && return
    sleep 0.05
  done
  check "the tool says $1" yes no
}
# hooks NAME: what the hook of a guest was called with since `prepare`.
hooks() { inside "$1" 'tr "\n" " " </run/hook.log'; }
await_hook() {
  for _ in {1..200}; do
    [[ $(hooks "$1") != *"$2"* ]] || return 0
    sleep 0.1
  done
  check "the hook of $1 is called with $2" yes no
}
# qemu NAME SIGNAL
qemu() { kill "-$2" "$(<"$(<"$dir/$1.dir")/pid")"; }
# qmp NAME COMMAND: pauses the machine (stop), or lets it go on (cont).
qmp() {
  python3 -c '
import json, socket, sys
channel = socket.socket(socket.AF_UNIX)
channel.connect(sys.argv[1])
lines = channel.makefile("rw")
for command in ["qmp_capabilities", sys.argv[2]]:
    lines.write(json.dumps({"execute": command}) + "\n")
    lines.flush()
    while "return" not in json.loads(lines.readline()):
        pass
' "$(<"$dir/$1.dir")/qmp.sock" "$2"
}

# The hook of each guest takes its time where a test says so, to meet a freeze or a thaw half way.
prepare() {
  local name
  for name in "${names[@]}"; do
    inside "$name" 'rm -f /run/hook.log /run/fail-* /run/slow-*; touch /run/hook.log' &
  done | cat # waits for them; `wait` would wait for the machines, too
}
for name in "${names[@]}"; do
  "$tool" "$dir/observers/$name.sock" wait --for 60 -q >/dev/null
  "$tool" "$dir/guests/$name.sock" wait --for 60 -q >/dev/null
  inside "$name" 'cat >/etc/qemu/fsfreeze-hook <<"END"
#!/bin/sh
echo "$1" >>/run/hook.log
[ ! -e "/run/slow-$1" ] || sleep 3
[ ! -e "/run/fail-$1" ]
END'
done
prepare

# ---- all goes well, or the program fails ---------------------------------------------------------

check 'before: all can be written to' "$all_thawed" "$(thawed_now)"
qga freeze -- bash -c "$look"
check 'all three are frozen while the program runs' "$all_frozen" "$out"
check 'exit code' 0 "$code"
sed 's/^/  /' "$dir/err"
check 'all three are thawed behind it' "$all_thawed" "$(thawed_now)"
qga --json freeze -- true
sed -n 's/^ *"\(guest\|seconds\)": /  \1 /p' "$dir/out"
qga freeze -- sh -c 'exit 9'
check 'the exit code of the program' 9 "$code"
qga freeze --for 1 -- sleep 100
check 'the time of the program is up' 124 "$code"
qga freeze --for 1
check 'held until the time is up' 0 "$code"
check 'thawed after all that' "$all_thawed" "$(thawed_now)"

# ---- signals at each step ------------------------------------------------------------------------

for signal in INT TERM HUP; do
  begin freeze -- sleep 100
  await 'froze 6'
  check "frozen before SIG$signal" "$all_frozen" "$(frozen_now)"
  kill -"$signal" "$tool_pid"
  end
  check "exit code after SIG$signal" $((128 + $(kill -l "$signal"))) "$code"
done
begin freeze
await 'froze 6'
kill -INT "$tool_pid"
end
check 'Ctrl-C without a program' 130 "$code"
check 'thawed after all these signals' "$all_thawed" "$(thawed_now)"

for slow in "${names[@]}"; do
  prepare
  inside "$slow" 'touch /run/slow-freeze'
  begin freeze -- echo snapshot
  await_hook "$slow" freeze
  kill -INT "$tool_pid"
  end
  check "Ctrl-C while $slow freezes" 130 "$code"
  check 'no program was run' '' "$out"
  check "thawed after Ctrl-C while $slow freezes" "$all_thawed" "$(thawed_now)"
done
prepare
inside db 'touch /run/slow-thaw'
begin freeze -- true
await_hook db thaw
kill -TERM "$tool_pid"
sleep 0.1
kill -INT "$tool_pid"
end
check 'two signals while db thaws' 130 "$code"
check 'thawed after two signals' "$all_thawed" "$(thawed_now)"

# ---- one of them refuses -------------------------------------------------------------------------

for bad in "${names[@]}"; do
  prepare
  inside "$bad" 'touch /run/fail-freeze'
  qga freeze -- echo snapshot
  check "$bad refuses to freeze" '125 ' "$code $out"
  check "thawed where $bad refuses to freeze" "$all_thawed" "$(thawed_now)"
  prepare
  inside "$bad" 'touch /run/fail-thaw'
  qga freeze -- echo snapshot
  check "the thaw hook of $bad fails" '125 snapshot' "$code $out"
  check "thawed where the thaw hook of $bad fails" "$all_thawed" "$(thawed_now)"
done
prepare
"$tool" "$dir/guests/web.sock" freeze --leave -q
qga freeze -- echo snapshot
check 'web is frozen already' '125 ' "$code $out"
check 'no other was frozen' ' ' "$(hooks cache) $(hooks db)"
check 'web is left alone' 'cache=thawed db=thawed web=frozen ' "$(frozen_now)"
qga thaw
check 'thaw reaches all' 'cache: thawed 0,db: thawed 0,web: thawed 2,' \
  "$(sort "$dir/out" | sed 's/ file systems//' | tr '\n' ',')"
qga freeze -- "$tool" "$dir/observers/db.sock" thaw
check 'db is thawed by somebody else' 125 "$code"
check 'the tool tells' yes "$(grep -q 'db: thawed before its time' "$dir/err" && echo yes)"

# ---- one of them stands still --------------------------------------------------------------------

prepare
qmp db stop
qga --timeout 3 freeze -- echo snapshot
check 'db is paused before' '125 ' "$code $out"
check 'nothing was frozen' ' ' "$(hooks cache) $(hooks web)"
qmp db cont

prepare
inside db 'touch /run/slow-freeze'
begin --timeout 5 freeze -- echo snapshot
await_hook db freeze
qmp db stop
for _ in {1..100}; do # the tool gives up, and still waits for db
  [[ $(hooks cache)$(hooks web) != 'freeze thaw freeze thaw ' ]] || break
  sleep 0.2
done
check 'the others are thawed while db stands still' 'cache=thawed web=thawed ' \
  "$(probe_all 5 cache web)"
check 'the tool still waits for db' yes "$(kill -0 "$tool_pid" && echo yes)"
qmp db cont
end
check 'db stood still while it froze' '125 ' "$code $out"
check 'all are thawed once db goes on' "$all_thawed" "$(thawed_now)"

prepare
begin --timeout 5 freeze -- sleep 2
await 'froze 6'
qmp web stop
for _ in {1..100}; do
  [[ $(hooks cache)$(hooks db) != 'freeze thaw freeze thaw ' ]] || break
  sleep 0.2
done
check 'the others are thawed while web stands still' 'cache=thawed db=thawed ' \
  "$(probe_all 5 cache db)"
sleep 6 # the time of its thaw is over
qmp web cont
end
check 'web stood still while it thawed' 125 "$code"
check 'all are thawed once web goes on' "$all_thawed" "$(thawed_now)"

prepare
begin --timeout 2 freeze -- sleep 1
await 'froze 6'
qmp web stop
end
check 'web stands still for longer' 125 "$code"
remedy="THE GUEST MAY STILL BE FROZEN: thaw it with: qga $dir/guests/web.sock thaw"
check 'the tool says how to thaw it' yes "$(grep -q "$remedy" "$dir/err" && echo yes)"
qmp web cont
qga thaw
check 'and so it is thawed' 0 "$code"
check 'all are thawed then' "$all_thawed" "$(thawed_now)"

# ---- an agent, the tool or a machine is killed ---------------------------------------------------

for dead in "${names[@]}"; do
  prepare
  begin --timeout 5 freeze -- sleep 2
  await 'froze 6'
  inside "$dead" 'kill -9 $(cat /run/qga.pid)'
  end
  check "all are thawed where the agent of $dead was killed ($code)" "$all_thawed" "$(thawed_now)"
done
prepare
inside cache 'touch /run/slow-freeze'
begin --timeout 5 freeze -- echo snapshot
await_hook cache freeze
inside cache 'kill -9 $(cat /run/qga.pid)'
end
check 'the agent of cache was killed while it froze' '125 ' "$code $out"
check 'all are thawed then, too' "$all_thawed" "$(thawed_now)"

prepare
begin freeze -- sleep 3
await 'froze 6'
kill -KILL "$tool_pid"
end
check 'SIGKILL leaves them frozen' "$all_frozen" "$(frozen_now)"
qga thaw
check 'thaw after SIGKILL' 0 "$code"
check 'all are thawed by that' "$all_thawed" "$(thawed_now)"

prepare
begin freeze -- sleep 2
await 'froze 6'
qemu web KILL
end
check 'a machine was killed' 125 "$code"
check 'the others are thawed' 'cache=thawed db=thawed ' \
  "$(probe_all 30 cache db)"
qga freeze -- echo snapshot
check 'without it nothing is frozen' '125 ' "$code $out"

echo "$checks checks, $failures failed"
((failures == 0))
