# What the machine itself needs.
# shellcheck shell=bash

# Debian packages of which each installs programs only: none of them starts a service. cc comes
# from gcc and is needed once, for the pause program.
HOST_PACKAGES=(runc containernetworking-plugins nftables iproute2 util-linux procps kmod openssl ca-certificates gcc libc6-dev binutils)

ensure_host() {
  [[ $(id -u) == 0 ]] || die "needs root: it makes network namespaces, mounts and cgroups"
  install_missing "${HOST_PACKAGES[@]}"
}

installed() { [[ $(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null) == ii* ]]; }

install_missing() {
  local package missing=()
  for package in "$@"; do
    installed "$package" || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  say "installing ${missing[*]}"
  with_lock apt apt_install "${missing[@]}"
}

apt_install() {
  run_logged "installing Debian packages" "$CACHE/log/apt.log" apt_with_lists install --no-install-recommends "$@"
}

# apt_with_lists ARGUMENTS...: a fresh machine may have no package lists, or stale ones; they are
# fetched only when it does not work without.
apt_with_lists() { apt_quiet "$@" || { apt_quiet update && apt_quiet "$@"; }; }

apt_quiet() { DEBIAN_FRONTEND=noninteractive apt-get --yes --quiet -o DPkg::Lock::Timeout=300 "$@"; }
