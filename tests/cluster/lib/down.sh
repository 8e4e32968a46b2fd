# Takes a cluster away, also a half-made one, and checks that nothing is left of it.
# shellcheck shell=bash

down() {
  say "$NAME: stopping processes"
  note_strangers
  # First all that could start something new, then the pods.
  kill_group system
  kill_group
  unmount_all
  delete_network
  delete_cgroups
  remove_outside_files
  rm -rf --one-file-system "$RUN"
  remove_shared_files
  check_nothing_left
}

# kill_group [PART]: ends every process in the cluster's cgroups, also those that appear meanwhile.
kill_group() {
  local pids
  wait_until 30 group_is_empty "$@" || {
    pids=$(pids_in_groups "$@" | tr '\n' ' ')
    die "processes that do not end: $pids"
  }
}

group_is_empty() {
  local pids
  pids=$(pids_in_groups "$@")
  [[ -n $pids ]] || return 0
  # shellcheck disable=SC2086 # a list of numbers
  kill -KILL $pids 2>/dev/null
  return 1
}

our_mounts() { awk -v run="$RUN/" 'index($2 "/", run) == 1 {print $2}' /proc/self/mounts | sort -r; }

unmount_all() {
  local path
  our_mounts | while read -r path; do
    umount "$path" 2>/dev/null || umount --lazy "$path" 2>/dev/null || true
  done
}

# Files of ours whose place outside of the cluster's folder cannot be configured.
remove_outside_files() {
  local tasks=$RUN/containerd/state/io.containerd.runtime.v2.task
  # Log links of the kubelet, results kept by the CNI library, sockets of containerd's shims.
  find /var/log/containers -type l -lname "$RUN/*" -delete 2>/dev/null || true
  { grep -rlF "$RUN/" /var/lib/cni/results 2>/dev/null || true; } | xargs -r rm -f
  { grep -rhoE --include=bootstrap.json '/run/containerd/s/[0-9a-f]+' "$tasks" 2>/dev/null || true; } | xargs -r rm -f
}

# What clusters share goes with the last of them, as far as nobody else put something there.
remove_shared_files() {
  ! compgen -G "$RUN_BASE/*/" >/dev/null || return 0
  rm -f /var/lib/kubelet/device-plugins/{kubelet.sock,DEPRECATION}
  [[ -n $(ip netns list) ]] || umount /run/netns 2>/dev/null || true
  rmdir "$RUN_BASE" /var/lib/kubelet/{device-plugins,} /var/log/containers /var/lib/cni/{results,} \
    /run/containerd/{s,} /run/netns 2>/dev/null || true
}

# Somebody's own command in the cluster's network is not ours to end, but it will find itself alone.
note_strangers() {
  local inode link pid ours
  [[ -e $NETNS ]] || return 0
  inode=$(stat -L -c %i "$NETNS")
  ours=" $(pids_in_groups | tr '\n' ' ') "
  for link in /proc/[0-9]*/ns/net; do
    pid=${link#/proc/} pid=${pid%%/*}
    if [[ $(readlink "$link" 2>/dev/null) == "net:[$inode]" && $ours != *" $pid "* ]]; then
      say "note: process $pid ($(cmdline_of "$pid")) is still in the cluster's network; it was not started by this tool"
    fi
  done
}

cmdline_of() { tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null | cut -c1-80; }

# left_over: one line for each thing of the cluster that is still there.
left_over() {
  local pid
  for pid in $(pids_in_groups); do
    printf 'process %s %s\n' "$pid" "$(cmdline_of "$pid")"
  done
  our_mounts | sed 's/^/mount /'
  [[ ! -e $NETNS ]] || printf 'network namespace %s\n' "$SCOPE"
  our_groups | sed 's/^/cgroup /'
  [[ ! -e $RUN ]] || printf 'folder %s\n' "$RUN"
}

check_nothing_left() {
  local left
  left=$(left_over)
  [[ -z $left ]] || die "left of cluster $NAME:"$'\n'"$left"
  say "$NAME: nothing left (no process, mount, network namespace, cgroup or folder)"
}
