# The cluster's network namespace and its cgroups.
# shellcheck shell=bash disable=SC2034 # the other files use these addresses

NODE=node1
POD_NET=10.88
NODE_IP=$POD_NET.0.1
SERVICE_NET=10.96.0.0/16
API_SERVICE_IP=10.96.0.1
DNS_IP=10.96.0.10
INGRESS_IP=10.96.0.80
TRAEFIK_IP=10.96.0.81
PROMETHEUS_IP=10.96.0.90

in_net() { nsenter --net="$NETNS" -- "$@"; }

# One namespace holds everything and has no default route: nothing can leave it by accident,
# and clusters side by side can use the same addresses.
ensure_network() {
  [[ ! -e $NETNS ]] || return 0
  say "network namespace $SCOPE"
  ip netns add "$SCOPE"
  # Bridged packets must pass nftables too, or answers between two pods of a Service are not translated back.
  [[ -e /proc/sys/net/bridge ]] || modprobe br_netfilter 2>/dev/null ||
    die "the kernel offers no bridge netfilter (module br_netfilter); Services would not work between pods"
  # shellcheck disable=SC2016 # $1 and $2 are for the inner shell
  in_net bash -euc '
    echo 1 >/proc/sys/net/ipv4/ip_forward
    echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables
    ip link set lo up
    ip link add cni0 type bridge
    ip address add "$1/16" dev cni0
    ip link set cni0 up
    # Service addresses need some route, or they are refused before nftables sees them.
    ip route add "$2" dev cni0' - "$NODE_IP" "$SERVICE_NET"
}

delete_network() {
  # The bridge goes with the namespace.
  [[ ! -e $NETNS ]] || ip netns delete "$SCOPE" || rm -f "$NETNS"
}

# cgroup_mounts: every hierarchy a container may get a group in (all of v1, or the one of v2).
cgroup_mounts() {
  local kind=cgroup
  grep -q ' cgroup ' /proc/mounts || kind=cgroup2
  awk -v kind="$kind" '$3 == kind {print $2}' /proc/mounts
}

# The hierarchy whose group `system` holds the control plane, containerd and its shims: on v1 the
# one that only counts, so that the CPU shares of the test machine stay as they are.
tracking_group() {
  local mount chosen=''
  while read -r mount; do
    [[ -n $chosen && $mount != */pids ]] || chosen=$mount
  done < <(cgroup_mounts)
  printf '%s/%s/system\n' "$chosen" "$SCOPE"
}

# The group is made before the first process: what is in it is ours, so `down` can find every
# process of even a half-made cluster.
ensure_cgroups() {
  local mount group file
  while read -r mount; do
    group=$mount/$SCOPE
    [[ -d $group ]] || mkdir "$group"
    # v2 passes on to a group only what its parent was told to.
    hand_down_controllers "$mount" "$group"
    # A new v1 cpuset is empty and refuses processes until it has been given processors.
    for file in cpuset.cpus cpuset.mems; do
      [[ ! -e $group/$file || -n $(<"$group/$file") ]] || cat "$mount/$file" >"$group/$file" 2>/dev/null || true
    done
  done < <(cgroup_mounts)
  mkdir -p "$(tracking_group)"
}

hand_down_controllers() {
  local group controller
  for group in "$@"; do
    [[ -e $group/cgroup.controllers ]] || continue
    for controller in $(<"$group/cgroup.controllers"); do
      echo "+$controller" 2>/dev/null >"$group/cgroup.subtree_control" || true
    done
  done
}

# our_groups [PART]: every cgroup folder of the cluster or of a part of it, deepest first.
our_groups() {
  local mount part=$SCOPE${1:+/$1}
  # Of both versions: where both are mounted, containers get an (empty) v2 group as well.
  awk '$3 ~ /^cgroup2?$/ {print $2}' /proc/mounts | while read -r mount; do
    [[ ! -d $mount/$part ]] || find "$mount/$part" -depth -type d 2>/dev/null || true
  done
}

# pids_in_groups [PART]: every process in them.
pids_in_groups() {
  local group
  our_groups "${1:-}" | while read -r group; do
    cat "$group/cgroup.procs" 2>/dev/null || true
  done | sort -un
}

delete_cgroups() {
  local group
  our_groups | while read -r group; do
    rmdir "$group" 2>/dev/null || true
  done
}
