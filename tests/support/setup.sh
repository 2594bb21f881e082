# shellcheck shell=bash
# Shared by examples/run.sh and tests/run.sh, which source it.

# quietly COMMAND...: shows what the command says only where it fails.
quietly() {
  local output
  output=$("$@" 2>&1) || {
    local status=$?
    printf '%s\n' "$output" >&2
    return "$status"
  }
}

# install_packages NAME...: installs the Debian or Ubuntu packages that are missing, as root or
# through sudo; where it may not, names them and gives up. A service that comes with one is not started,
# now or later.
install_packages() ( # in a shell of its own, with whose end the lock is released
  local name missing=() as_root=() policy=/usr/sbin/policy-rc.d
  if ! command -v apt-get >/dev/null; then
    echo "Not Debian or Ubuntu: taking it that these are here: $*"
    return
  fi
  exec 9</var/lib/dpkg
  flock 9 # two scripts that run at once install one after the other
  for name; do
    dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q ' ok installed$' || missing+=("$name")
  done
  ((${#missing[@]})) || return 0

  if ((EUID != 0)); then
    if ! sudo -n true 2>/dev/null; then
      echo "Please install: ${missing[*]}" >&2
      return 1
    fi
    as_root=(sudo -n)
  fi
  echo "Installing ${missing[*]}"
  quietly "${as_root[@]}" apt-get update
  if [[ ! -e $policy ]]; then
    trap '"${as_root[@]}" rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod +x "$policy"
  fi
  quietly "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --yes \
    --no-install-recommends -o DPkg::Lock::Timeout=300 "${missing[@]}" 9<&-
  [[ -d /run/systemd/system ]] || return 0
  for name in "${missing[@]}"; do
    "${as_root[@]}" systemctl disable --quiet "$name.service" 2>/dev/null || true
  done
)

# What an agent on a developer's machine must never do.
blocked_commands=guest-shutdown,guest-suspend-disk,guest-suspend-ram,guest-suspend-hybrid
blocked_commands+=,guest-fsfreeze-freeze,guest-fsfreeze-freeze-list,guest-fsfreeze-thaw,guest-fstrim
blocked_commands+=,guest-set-time,guest-set-vcpus,guest-set-memory-blocks,guest-set-user-password
blocked_commands+=,guest-ssh-get-authorized-keys,guest-ssh-add-authorized-keys
blocked_commands+=,guest-ssh-remove-authorized-keys

# start_agent: a real agent (QGA_AGENT, or the system's), harmless, in a directory of its own; sets
# agent_dir, agent_socket and agent_pid. To be ended by stop_agent, from a trap.
start_agent() {
  local qemu_ga as_nobody=()
  qemu_ga=${QGA_AGENT:-$(PATH=$PATH:/usr/sbin:/sbin command -v qemu-ga)} || {
    echo "no qemu-ga found" >&2
    return 1
  }
  agent_dir=$(mktemp -d)
  agent_socket=$agent_dir/qga.sock
  mkdir "$agent_dir/state"

  # An ordinary user even for root. setpriv becomes the agent, so that its pid is the agent's.
  if ((EUID == 0)) && setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups true 2>/dev/null; then
    chown -R nobody "$agent_dir"
    as_nobody=(setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups)
  fi
  (cd "$agent_dir" && exec "${as_nobody[@]}" "$qemu_ga" --method unix-listen --path "$agent_socket" \
    --statedir "$agent_dir/state" --pidfile "$agent_dir/pid" --logfile "$agent_dir/log" \
    -b "$blocked_commands") &
  agent_pid=$!

  for _ in {1..100}; do
    sleep 0.05
    [[ -S $agent_socket ]] && return
    agent_runs || break
  done
  echo "qemu-ga did not start:" >&2
  cat "$agent_dir/log" >&2
  return 1
}

# agent_runs: whether the agent that start_agent started still does.
agent_runs() { jobs -pr | grep -qx "$agent_pid"; }

# stop_agent: ends that agent, if there is one, and removes its directory.
stop_agent() {
  [[ -n ${agent_dir:-} ]] || return 0
  if [[ -n ${agent_pid:-} ]] && agent_runs; then
    kill "$agent_pid" || true
    wait "$agent_pid" || true
  fi
  rm -rf "$agent_dir"
}

# start_agents COUNT: so many of them, with sockets vm0000.sock, vm0001.sock, ... in agents_sockets,
# which it sets as well as agents_pids. To be ended by stop_agents, from a trap.
start_agents() {
  agents_sockets=$(mktemp -d) agents_pids=() agents_dirs=()
  for ((i = 0; i < $1; i++)); do
    start_agent
    agents_dirs+=("$agent_dir") agents_pids+=("$agent_pid")
    ln -s "$agent_socket" "$agents_sockets/vm$(printf %04d "$i").sock"
  done
}

# stop_agents: ends those that were started.
stop_agents() {
  kill "${agents_pids[@]}" 2>/dev/null || true
  wait "${agents_pids[@]}" 2>/dev/null || true
  rm -rf "$agents_sockets" "${agents_dirs[@]}"
}
