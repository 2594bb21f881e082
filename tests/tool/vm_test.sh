#!/usr/bin/env bash
# The tool against a live guest, which tests/vm/run.sh has booted: what may not be tried on an agent
# of this machine. Usage: vm_test.sh TOOL
set -euo pipefail

tool=$1 agent=$QGA_VM/agent.sock observer=$QGA_VM/observer.sock
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failures=0 checks=0 err=''

# check WHAT EXPECTED GOT
check() {
  checks=$((checks + 1))
  [[ $2 == "$3" ]] && return
  failures=$((failures + 1))
  printf 'FAILED: %s\n  expected: %s\n  got:      %s\n  the last: %s\n' "$@" "$err"
}

# qga ARGS...: sets out, err and code.
qga() {
  code=0
  "$tool" "$agent" "$@" >"$dir/out" 2>"$dir/err" || code=$?
  out=$(<"$dir/out") err=$(<"$dir/err")
}

# writes NAME SECONDS: whether a write ends within that time, as the guest itself sees it. One to a
# frozen file system ends with the thaw.
writes() {
  "$tool" "$observer" run --for "$2" -- sh -c "echo x >/mnt/$1/probe && sync /mnt/$1/probe" \
    >/dev/null 2>&1 && echo yes || echo no
}

# await_frozen: until the tool in the background has frozen the guest.
await_frozen() {
  for _ in {1..200}; do
    grep -qs froze "$dir/held" && return
    sleep 0.05
  done
}

check 'before: a writes' yes "$(writes a 30)"

# logged: how many lines of the agent are in the guest's log.
logged() {
  "$tool" "$observer" run -- sh -c 'grep -v observer: /run/messages | grep -c guest- || true'
}

# What is asked again and again, with a handshake after each pause, must not fill the guest's log.
lines=$(logged)
qga ping
check 'a ping is logged' yes "$( (($(logged) > lines)) && echo yes)"
lines=$(logged)
qga top --count 3 --interval 1.5
check 'top' 0 "$code"
check 'top is not logged' "$lines" "$(logged)"
qga top --count 3 --interval 1.5 --memory
check 'top logs that it opens a file (two lines), and that it closes it' "$((lines + 3))" "$(logged)"

lines=$(logged)
qga metrics
check 'metrics' 0 "$code"
check 'metrics logs a file, too' "$((lines + 3))" "$(logged)"

# state: that of the guest in the metrics.
state() {
  qga metrics
  grep -o 'state="[a-z-]*"} 1' <<<"$out"
}
check 'metrics: ready' 'state="ready"} 1' "$(state)"
qga freeze --leave /mnt/a
check 'metrics: frozen' 'state="frozen"} 1' "$(state)"
check 'metrics: up while it is frozen' 1 "$(qga metrics && grep -c '^qga_up.* 1$' <<<"$out")"
qga thaw
check 'metrics: ready again' 'state="ready"} 1' "$(state)"

# With a program.
qga freeze -- "$tool" "$observer" run --for 0.7 -- sh -c 'echo x >/mnt/a/probe && sync'
check 'what writes while frozen takes too long' 124 "$code"
check 'thawed after the program: a writes' yes "$(writes a 30)"
qga freeze -- sh -c 'exit 9'
check 'the exit code of the program' 9 "$code"
qga status
check 'thawed after a program that failed' thawed "$out"

# Some file systems only.
qga freeze --leave /mnt/a
check 'froze one' 0 "$code"
qga status
check 'left frozen' frozen "$out"
check 'a is frozen' no "$(writes a 0.7)"
check 'b is not' yes "$(writes b 30)"
qga wait --for 2
check 'wait tells frozen' 1 "$code"
qga thaw
check 'thawed one' 'thawed 1 file system' "$out"
check 'a writes again' yes "$(writes a 30)"

# Signals while frozen; sleep is the program, or nobody.
for signal in INT TERM HUP; do
  for program in '' '-- sleep 100'; do
    rm -f "$dir/held"
    # shellcheck disable=SC2086 # words
    env --default-signal=INT,HUP "$tool" "$agent" freeze $program </dev/null 2>"$dir/held" &
    held=$!
    await_frozen
    check "frozen before $signal $program" no "$(writes a 0.7)"
    kill -"$signal" "$held"
    code=0
    wait "$held" || code=$?
    check "exit code after $signal $program" $((128 + $(kill -l "$signal"))) "$code"
    check "thawed after $signal $program" yes "$(writes a 30)"
  done
done
qga status
check 'thawed after all signals' thawed "$out"

# Time is up.
qga freeze --for 0.5
check 'held for its time' 0 "$code"
check 'thawed when time was up' yes "$(writes a 30)"

# Files, with SHA-256 of the guest's own.
head -c 3000000 /dev/urandom >"$dir/bytes"
qga cp --verify "$dir/bytes" :/tmp/bytes
check 'copied in' 0 "$code"
qga run -- sha256sum /tmp/bytes
check 'the same bytes' "$(sha256sum <"$dir/bytes" | cut -d' ' -f1)" "${out%% *}"
qga cp --verify :/tmp/bytes "$dir/back"
cmp "$dir/bytes" "$dir/back" && same=yes || same=no
check 'copied out' yes "$same"

# A directory, by the guest's own tar.
mkdir -p "$dir/tree/sub/empty"
head -c 300000 /dev/urandom >"$dir/tree/bytes"
echo '#!/bin/sh' >"$dir/tree/sub/program" && chmod 755 "$dir/tree/sub/program"
chmod 600 "$dir/tree/bytes"
ln -s ../bytes "$dir/tree/sub/link"
for i in {1..300}; do echo "$i" >"$dir/tree/$i"; done
qga cp -r --verify "$dir/tree" :/tmp/tree
check 'a directory copied in' 0 "$code"
qga cp -r --verify :/tmp/tree "$dir/tree-back"
check 'a directory copied out' 0 "$code"
# look DIRECTORY: all that is in it.
look() {
  (cd "$1" && find . -printf '%P %y %m %l\n' | sort && find . -type f -exec sha256sum {} + | sort)
}
check 'the same directory' "$(look "$dir/tree")" "$(look "$dir/tree-back")"
qga run -- sh -c 'ls -d /tmp/qga-* 2>/dev/null; rm -rf /tmp/tree'
check 'cp -r leaves nothing else' '' "$out"

# Input as it comes.
seq 50000 >"$dir/numbers"
"$tool" "$agent" run -i -- sha256sum <"$dir/numbers" >"$dir/out"
check 'the same input' "$(sha256sum <"$dir/numbers")" "$(<"$dir/out")"

# A terminal of the guest, on a terminal of `script` here.
mkfifo "$dir/keys"
# shows TEXT: waits until the terminal shows it.
shows() {
  for _ in {1..1200}; do
    grep -qsF -- "$1" "$dir/shown" && return
    sleep 0.05
  done
  check "the terminal shows $1" yes no
}
# begin_shell: it is typed to by descriptor 5.
begin_shell() {
  rm -f "$dir"/{shown,code,before,after}
  env --default-signal=INT,HUP,QUIT script -qfc "stty rows 33 cols 99; stty -g >'$dir/before'
    '$tool' '$agent' shell -- sh; echo \$? >'$dir/code'
    stty -g >'$dir/after'" "$dir/shown" <"$dir/keys" &>/dev/null &
  shell=$!
  exec 5>"$dir/keys"
  shows '~. at the beginning of a line leaves'
  # shellcheck disable=SC2016 # for the guest's shell to expand
  echo 'echo up-$((1 + 1))-$(stty size)' >&5
  shows 'up-2-33 99'
}
# end_shell NAME CODE: waits for its end.
end_shell() {
  wait "$shell"
  exec 5>&-
  check "$1" "$2" "$(<"$dir/code")"
  check "$1: the terminal is as before" "$(<"$dir/before")" "$(<"$dir/after")"
}
begin_shell
echo 'exit 7' >&5
end_shell 'shell' 7
begin_shell
printf '\n~.' >&5
end_shell 'shell that is left' 125
qga run -- sh -c 'ls -d /tmp/qga-* 2>/dev/null; ps | grep -v grep | grep "script -q"'
check 'shell leaves nothing' '' "$out"

# Accounts.
"$tool" "$agent" run -- grep ^tester: /etc/shadow >"$dir/before"
printf 'hunter2\n' | "$tool" "$agent" passwd tester
"$tool" "$agent" run -- grep ^tester: /etc/shadow >"$dir/after"
cmp -s "$dir/before" "$dir/after" && same=yes || same=no
check 'another password' no "$same"
key='ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ me@here'
for _ in 1 2; do "$tool" "$agent" ssh-keys add tester <<<"$key"; done
qga ssh-keys list tester
check 'a key, once' "$key" "$out"
echo "$key" >"$dir/key"
qga ssh-keys remove tester "$dir/key"
qga ssh-keys list tester
check 'no key' '' "$out"

# The clock.
qga run -- date -s '2001-02-03 04:05:06'
qga time
check 'far behind' yes "$([[ $out == *behind* ]] && echo yes)"
qga time --set
difference=$(sed -n 's/^difference *\([0-9]*\).*/\1/p' <<<"$out")
check 'set to ours, within seconds' yes "$( ((difference < 3)) && echo yes)"

# One picture of top has what there is to see.
qga top --count 1
check 'top' 0 "$code"

# Down, last of all. A shell that is open meanwhile tells it.
begin_shell
"$tool" "$observer" reboot 2>/dev/null
end_shell 'shell whose guest reboots' 125
check 'shell tells that the guest has gone' yes "$(grep -q 'the program is lost' "$dir/shown" && echo yes)"
qga wait --for 120 --command guest-exec
check 'up after the reboot' 0 "$code"

pid=$(<"$QGA_VM/pid")
code=0
timeout 45 "$tool" "$agent" reboot || code=$?
check 'reboots, and waits for no answer for long' 0 "$code"
sleep 1
qga wait --for 120 --command guest-exec
check 'up again' 0 "$code"
qga shutdown
check 'shutdown' 0 "$code"
for _ in {1..600}; do
  kill -0 "$pid" 2>/dev/null || break
  sleep 0.1
done
qga ping
check 'nobody is there' 3 "$code"

echo "$checks checks, $failures failed"
((failures == 0))
