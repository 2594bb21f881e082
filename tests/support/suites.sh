# shellcheck shell=bash
# Packages of other Debian suites, without touching the system's own package lists. Shared by
# tests/agents/fetch.sh and tests/platforms.sh, which source it.

archive_keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# suite_mirror: where the system's own suite comes from; nothing where its apt sources name none.
suite_mirror() {
  local codename
  # shellcheck source=/dev/null
  codename=$(source /etc/os-release && echo "${VERSION_CODENAME:-}")
  apt-get indextargets --format "\$(RELEASE) \$(REPO_URI)" 'Created-By: Packages' 2>/dev/null |
    sed -n "s/^$codename //p" | sed -n 1p
}

# configure_suite STATE SUITE MIRROR: gives apt a state of its own in the directory STATE, with
# nothing in its sources but the suite. The rest of the system's configuration holds, as it may name
# a proxy.
configure_suite() {
  local apt=$1 suites=("$2")
  [[ $2 != *-backports ]] || suites+=("${2%-backports}")
  mkdir -p "$apt"/{lists/partial,archives/partial}
  printf "deb [signed-by=$archive_keyring] $3 %s main\n" "${suites[@]}" >"$apt/sources.list"
  apt-config dump | grep -v -E '^(Dir|DPkg|APT::Update|APT::Default-Release)\b' >"$apt/conf"
  cat >>"$apt/conf" <<END
Dir::Etc::Parts "/dev/null";
Dir::Etc::Main "/dev/null";
Dir::Etc::SourceList "$apt/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State "$apt";
Dir::State::Lists "$apt/lists";
Dir::State::Status "/dev/null";
Dir::Cache "$apt";
Dir::Cache::Archives "$apt/archives";
APT::Sandbox::User "root";
APT::Install-Recommends "0";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::PDiffs "0";
Acquire::Retries "2";
END
}

# suite_apt STATE COMMAND...: apt-get with that state.
suite_apt() { APT_CONFIG=$1/conf apt-get -qq "${@:2}"; }
