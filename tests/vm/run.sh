#!/usr/bin/env bash
# Runs a command beside a VM of its own, which ends with it.
set -euo pipefail

usage="usage: tests/vm/run.sh [--keep] [--] [COMMAND ARGS...]

Boots the guest (and builds it first where needed), runs COMMAND with QGA_VM set to the VM's
directory, ends the VM and exits as COMMAND did. Without COMMAND the VM stays until Ctrl-C.

  --keep  keep the VM until Ctrl-C when COMMAND has ended

Where QGA_AGENT is set to a qemu-ga that tests/agents/fetch.sh has made, the guest runs that agent in
the place of its own; the observer remains.

QGA_VM holds agent.sock (the agent), observer.sock (a second agent in the same guest), qmp.sock and
qmp2.sock (QEMU), console.log (what the guest's kernel says), qemu.log and pid (QEMU's)."

keep=''
while (($#)); do
  case $1 in
    --keep) keep=yes ;;
    -h | --help) echo "$usage" && exit ;;
    --) shift && break ;;
    -*) echo "$usage" >&2 && exit 2 ;;
    *) break ;;
  esac
  shift
done

# COMMAND keeps the caller's directory.
here=$(cd "$(dirname "$0")" && pwd)
built=${here%/tests/vm}/build/vm
# shellcheck source=tests/vm/build.sh
source "$here/build.sh"
# shellcheck source=tests/support/setup.sh
source "$here/../support/setup.sh"

install_packages "${vm_packages[@]}"
"$here/build.sh" "$built" >&2

# The path of a UNIX socket may have 107 bytes, too few for some TMPDIR.
dir=$(mktemp -d /tmp/qga-vm.XXXXXX)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

initramfs=$built/initramfs
if [[ -n ${QGA_AGENT:-} ]]; then
  [[ -d ${QGA_AGENT%/*}/lib ]] || {
    echo "QGA_AGENT must be a qemu-ga that tests/agents/fetch.sh has made, not $QGA_AGENT" >&2
    exit 2
  }
  # A kernel unpacks several archives one after another, and what comes later replaces what is there.
  initramfs=$dir/initramfs
  mkdir -p "$dir/added/opt" "$dir/added/usr/bin"
  cp -r "${QGA_AGENT%/*}" "$dir/added/opt/agent"
  ln -s /opt/agent/qemu-ga "$dir/added/usr/bin/qemu-ga"
  (cd "$dir/added" && find . | sort | "$built/busybox" cpio -o -H newc -R 0:0 2>/dev/null) |
    cat "$built/initramfs" - >"$initramfs"
fi

# Not q35: there, with QEMU 7.2, a second suspend to memory wakes up at once.
machine=(qemu-system-x86_64 -nodefaults -no-user-config -display none -machine pc -cpu max -smp 2
  -m "512M,slots=2,maxmem=1G" -kernel "$built/vmlinuz" -initrd "$initramfs")
# movable_node: the agent brings a memory block online as the kernel sees fit, and without it the
# kernel would put there what keeps the block from going offline again.
boot="console=ttyS0 quiet panic=1 memhp_default_state=online movable_node"

# Whether KVM boots this guest: a /dev/kvm can be there and hang, or break QEMU. The probe is not
# waited for when its time is over: a process that hangs in the kernel may not even be killed.
kvm_works() {
  local probe works=1
  [[ -w /dev/kvm ]] || return 1
  setpriv --pdeathsig KILL "${machine[@]}" -accel kvm -append "$boot qga.probe" -no-reboot \
    -serial "file:$dir/probe.log" </dev/null &>/dev/null &
  probe=$!
  for _ in {1..100}; do
    sleep 0.1
    grep -qs qga-probe-reached "$dir/probe.log" && works=0 && break
    jobs -pr | grep -qx "$probe" || break
  done
  disown "$probe"
  kill -KILL "$probe"
  return "$works"
}

# The verdict holds until the machine is booted again.
who="$(</proc/sys/kernel/random/boot_id) $EUID"
if [[ ! -f $built/accelerator || $(<"$built/accelerator") != "$who "* ]]; then
  if kvm_works 2>/dev/null; then verdict=kvm; else verdict=tcg; fi
  echo "$who $verdict" >"$dir/accelerator"
  mv "$dir/accelerator" "$built/"
fi
read -r _ _ accelerator <"$built/accelerator"
echo "The VM runs on ${accelerator^^}" >&2
[[ $accelerator == kvm ]] || accelerator=tcg,thread=multi

# shellcheck disable=SC2054 # the commas are QEMU's
machine+=(-accel "$accelerator" -append "$boot"
  -object memory-backend-ram,id=memory,size=128M -device pc-dimm,memdev=memory
  -chardev "file,id=console,path=$dir/console.log" -serial chardev:console
  -qmp "unix:$dir/qmp.sock,server=on,wait=off" -qmp "unix:$dir/qmp2.sock,server=on,wait=off"
  -netdev user,id=net,restrict=on -device virtio-net-pci,netdev=net,romfile=
  -device virtio-serial-pci)
# A test moves the agent to TCP or a pty with QMP's chardev-change of "agent".
for name in agent observer; do
  port=org.qemu.guest_agent.0
  [[ $name == agent ]] || port=org.qemu.guest_agent.observer
  machine+=(-chardev "socket,id=$name,path=$dir/$name.sock,server=on,wait=off"
    -device "virtserialport,chardev=$name,name=$port")
done
for letter in a b; do
  machine+=(-drive "if=none,id=$letter,file=${built//,/,,}/$letter.img,format=raw,snapshot=on,discard=unmap"
    -device "virtio-blk-pci,drive=$letter,serial=qga-disk-$letter")
done

# The guardian has QEMU for a child and this script's lifeline for its input: that ends with this
# script, however it ends. Killed itself, it takes QEMU along.
# shellcheck disable=SC2016 # for the inner shell to expand
exec {lifeline}> >(TMPDIR=$dir exec setsid bash -c '
  dir=$1 && shift
  setpriv --pdeathsig KILL "$@" </dev/null &>"$dir/qemu.log" &
  echo "$!" >"$dir/pid"
  read -r
  jobs -pr | xargs -r kill -KILL
  wait
  rm -rf "$dir"' guardian "$dir" "${machine[@]}" &>/dev/null)
guardian=$!
command=''

# shellcheck disable=SC2317 # called by finish
command_runs() { [[ -n $command ]] && kill -0 "$command" 2>/dev/null; }
# shellcheck disable=SC2317 # called by the trap
finish() {
  if command_runs; then
    kill "$command"
    for _ in {1..50}; do
      sleep 0.1
      command_runs || break
    done
    ! command_runs || kill -KILL "$command"
  fi || true
  exec {lifeline}>&-
  wait "$guardian" || true
  rm -rf "$dir"
}
trap finish EXIT

vm_runs() { [[ ! -s $dir/pid ]] || kill -0 "$(<"$dir/pid")" 2>/dev/null; }
# The guest says so just before it starts its agents.
booted() { grep -qs qga-guest-up "$dir/console.log"; }
for _ in {1..1200}; do
  if booted || ! vm_runs; then break; fi
  sleep 0.1
done
if ! booted; then
  echo "The VM did not come up:" >&2
  tail -n 20 "$dir"/*.log >&2
  exit 1
fi

stay() {
  echo "agent $dir/agent.sock observer $dir/observer.sock QMP $dir/qmp.sock" \
    "console $dir/console.log (Ctrl-C ends the VM)"
  while vm_runs; do sleep 0.2 {lifeline}>&-; done
  echo "The VM has ended" >&2
}

status=0
if (($#)); then
  # In the background, so that a signal is acted upon at once; bash has it ignore Ctrl-C there.
  QGA_VM=$dir env --default-signal=INT,QUIT setpriv --pdeathsig TERM "$@" <&0 {lifeline}>&- &
  command=$!
  wait "$command" || status=$?
  command=''
  if [[ -n $keep ]]; then
    trap 'exit "$status"' INT
    stay
  fi
else
  stay
fi
exit "$status"
