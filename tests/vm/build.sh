#!/usr/bin/env bash
# Assembles the guest of the live tests. May be sourced, for vm_packages alone.
set -euo pipefail

# What this machine needs to build the guest and to run it (run.sh).
# shellcheck disable=SC2034 # used by those who source this
vm_packages=(e2fsprogs qemu-system-x86)
[[ ${BASH_SOURCE[0]} == "$0" ]] || return 0

usage="usage: tests/vm/build.sh OUT_DIR

Makes a guest for QEMU out of Debian packages, which it downloads and does not install:
OUT_DIR/vmlinuz, OUT_DIR/initramfs and the disks OUT_DIR/a.img and OUT_DIR/b.img; and
OUT_DIR/busybox, whose cpio packs what run.sh adds to the guest.
Does nothing where they are up to date."

case ${1:-} in
  -h | --help) echo "$usage" && exit ;;
esac
[[ $# == 1 && $1 != -* ]] || { echo "$usage" >&2 && exit 2; }

mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")"
PATH=$PATH:/usr/sbin:/sbin
here=$PWD
# shellcheck source=tests/support/setup.sh
source ../support/setup.sh

# Builds in the same place take turns.
exec {lock}>"$out/.lock"
flock "$lock"

# The guest is up to date with the packages that apt knew of when it was built.
built_from=$(find build.sh guest -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum)
if [[ -f $out/stamp && $(<"$out/stamp") == "$built_from" ]] &&
  [[ -z $(find /var/lib/apt/lists -newer "$out/stamp" -print -quit 2>/dev/null) ]]; then
  exit
fi

install_packages "${vm_packages[@]}"
new=$out/.new
rm -rf "$new"
trap 'rm -rf "$new"' EXIT
trap 'exit 1' INT TERM HUP
packages=$new/packages root=$new/root
mkdir -p "$packages" "$root"

# resolve: NAME=VERSION of every package the guest takes files from. To apt nothing is installed,
# so that it names the libraries too. The cloud kernel has ext4 built in and is packed with lz4,
# which an emulated machine unpacks in a fraction of the time.
resolve() {
  apt-get --simulate -qq -o Dir::State::status=/dev/null -o APT::Install-Recommends=0 install \
    linux-image-cloud-amd64 busybox-static qemu-guest-agent passwd tzdata bsdutils util-linux |
    sed -n 's/^Inst \([^ ]*\) (\([^ ]*\) .*/\1=\2/p' |
    grep -E '^(lib|linux-image-[0-9]|busybox-static|qemu-guest-agent|passwd|tzdata|bsdutils|util-linux=)' | grep -v perl
}

download() {
  local names
  names=$(resolve) && (cd "$packages" && xargs apt-get download -qq -o APT::Sandbox::User=root) <<<"$names"
}

echo "Building the guest of the live tests in $out"
# Its lists can be missing or too old for what the mirror still has.
quietly download 2>/dev/null || {
  as_root=()
  ((EUID == 0)) || as_root=(sudo -n)
  quietly "${as_root[@]}" apt-get update
  quietly download
}

# Each after those it needs: busybox loads them without looking at dependencies.
modules=(virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_console
  virtio_blk failover net_failover virtio_net)

# Directories of the guest: everything in /usr, and all its programs in one place.
tree=$new/tree
for place in "$tree" "$root"; do
  mkdir -p "$place/usr/bin" "$place/usr/lib" "$place/usr/lib64"
  ln -s usr/bin "$place/bin"
  ln -s usr/bin "$place/sbin"
  ln -s bin "$place/usr/sbin"
  ln -s usr/lib "$place/lib"
  ln -s usr/lib64 "$place/lib64"
done
for package in "$packages"/*.deb; do
  dpkg-deb --fsys-tarfile "$package" | tar -x -C "$tree" --keep-directory-symlink --exclude='./usr/share/doc'
done
busybox=$tree/bin/busybox
multiarch=usr/lib/x86_64-linux-gnu

(
  cd "$root"
  mkdir -p dev proc sys run/udev/data run/qga run/observer root home/tester tmp mnt/{a,b,tiny} var \
    lib/modules etc "$multiarch/security"
  ln -s ../run var/run
  chmod 1777 tmp

  "$busybox" --list | while read -r applet; do ln -s busybox "bin/$applet"; done
  rm bin/busybox
  rm bin/fallocate bin/setpriv # busybox's make no holes, and cannot change the user
  programs=(qemu-ga chpasswd script fallocate setpriv)
  cp "$busybox" "${programs[@]/#/$tree/bin/}" bin/
  cp bin/qemu-ga bin/observer # remains where run.sh puts another agent in the place of qemu-ga
  cp "$tree/$multiarch/security/pam_unix.so" "$multiarch/security/"
  ln -s "/$multiarch/ld-linux-x86-64.so.2" lib64/
  for file in "${programs[@]/#/bin/}" "$multiarch/security/pam_unix.so"; do
    "$tree/lib64/ld-linux-x86-64.so.2" --inhibit-cache --library-path "$tree/$multiarch" --list "$file"
  done | sed -n "s|.*=> \($tree/.*\) (.*|\1|p" | sort -u | xargs cp -t "$multiarch"

  # A module is a file, packed or not, or it is built into the kernel.
  for module in "${modules[@]}"; do
    file=$(find "$tree/lib/modules" -name "$module.ko" -o -name "$module.ko.xz")
    case $file in
      *.ko) cp "$file" lib/modules/ ;;
      *.xz) "$busybox" unxz -c "$file" >"lib/modules/$module.ko" ;;
      *)
        grep -q "/$module\.ko$" "$tree"/lib/modules/*/modules.builtin && continue
        echo "The guest's kernel has no module $module" >&2
        exit 1
        ;;
    esac
    echo "$module"
  done >lib/modules/order
  tar -c -C "$here/guest" . | tar -x --keep-directory-symlink --no-same-owner
  # glib wants a link here, and takes the zone for UTC otherwise.
  mkdir -p usr/share/zoneinfo/Asia
  cp "$tree/usr/share/zoneinfo/Asia/Kathmandu" usr/share/zoneinfo/Asia/
  ln -s /usr/share/zoneinfo/Asia/Kathmandu etc/localtime
  chmod 600 etc/shadow

  # Who is logged in: struct utmp of one user process, since 1700000000.5.
  zeros() { head -c "$1" /dev/zero; }
  {
    printf '\7\0\0\0\1\0\0\0tty1' && zeros 28
    printf '\61\0\0\0tester' && zeros 26
    zeros 264
    printf '\0\361\123\145\40\241\7\0' && zeros 36
  } >run/utmp
)

(cd "$root" && find . | sort | "$busybox" cpio -o -H newc -R 0:0 2>/dev/null) >"$new/initramfs"
cp "$tree"/boot/vmlinuz-* "$new/vmlinuz"
cp "$busybox" "$new/busybox"
quietly mke2fs -q -t ext4 -L qga-a "$new/a.img" 64M
quietly mke2fs -q -t ext4 -L qga-b "$new/b.img" 48M

# Without the stamp nothing counts as built, and a VM that runs keeps the files it has opened.
rm -f "$out/stamp"
mv "$new"/{vmlinuz,initramfs,busybox,a.img,b.img} "$out"
echo "$built_from" >"$new/stamp"
mv "$new/stamp" "$out"
