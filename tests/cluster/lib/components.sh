# Starts and stops the cluster's own processes, each known by a pid file.
# shellcheck shell=bash

COMPONENTS=(etcd containerd apiserver kcm scheduler kubelet proxy)

# launch NAME COMMAND...: in the network namespace and the tracking cgroup, in the background.
launch() {
  local name=$1 pid
  shift
  (
    # Locks are held by open files: a server that inherits one would hold it for ever.
    close_inherited_files
    echo "$BASHPID" >"$(tracking_group)/cgroup.procs"
    cd "$RUN" || exit
    exec setsid nsenter --net="$NETNS" -- "$@"
  ) >>"$RUN/log/$name.log" 2>&1 </dev/null &
  pid=$!
  disown "$pid"
  printf '%s %s\n' "$pid" "$(start_time "$pid")" >"$RUN/pid/$name"
}

close_inherited_files() {
  local fd
  for fd in /proc/"$BASHPID"/fd/*; do
    fd=${fd##*/}
    if ((fd > 2)) && [[ $fd != 255 ]]; then
      exec {fd}>&-
    fi
  done
}

# start_time PID: tells a process from a later one with the same number.
start_time() { sed -E 's/^.*\) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# pid_of NAME: the component's process, if it still is that process.
pid_of() {
  local pid started
  [[ -f $RUN/pid/$1 ]] || return 1
  read -r pid started <"$RUN/pid/$1"
  [[ -n $started && $(start_time "$pid") == "$started" ]] || return 1
  # A zombie has a start time too.
  ! grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null || return 1
  printf '%s\n' "$pid"
}

alive() { pid_of "$1" >/dev/null; }

# start_component NAME: launches it unless it runs.
start_component() {
  known_component "$1"
  if ! alive "$1"; then
    mkdir -p "$RUN/log" "$RUN/pid"
    "run_$1"
  fi
}

# await_component NAME: until it answers. One that ends at once is tried again a few times: the
# kubelet does so while containerd's CRI is not ready yet.
await_component() {
  local name=$1 tries=0 deadline=$((SECONDS + 120))
  until "ready_$name" >/dev/null 2>&1; do
    ((SECONDS < deadline)) || fail_with_log "$name did not become ready in 120 s" "$RUN/log/$name.log"
    if ! alive "$name"; then
      ((++tries <= 10)) || fail_with_log "$name keeps ending" "$RUN/log/$name.log"
      sleep 0.3
      start_component "$name"
    fi
    sleep 0.1
  done
}

kill_component() {
  local pid signal=${2:-KILL}
  known_component "$1"
  pid=$(pid_of "$1") || die "$1 is not running"
  kill -s "$signal" "$pid"
  # A component can also be made to hang, and let go on.
  [[ $signal != STOP && $signal != CONT ]] || return 0
  wait_until 30 component_gone "$1" || die "$1 (process $pid) is still there 30 s after $signal"
}

component_gone() { ! alive "$1"; }

known_component() {
  [[ " ${COMPONENTS[*]} " == *" $1 "* ]] || die "no component '$1'; there are: ${COMPONENTS[*]}"
}

answers_tcp() { in_net timeout 2 bash -c "</dev/tcp/127.0.0.1/$1"; }

run_etcd() {
  launch etcd "$(tool_dir etcd)/etcd" --name=etcd --data-dir="$RUN/etcd" --unsafe-no-fsync --log-level=warn \
    --listen-client-urls=http://127.0.0.1:2379 --advertise-client-urls=http://127.0.0.1:2379 \
    --listen-peer-urls=http://127.0.0.1:2380 --initial-advertise-peer-urls=http://127.0.0.1:2380 \
    --initial-cluster=etcd=http://127.0.0.1:2380
}
ready_etcd() { answers_tcp 2379; }

run_apiserver() {
  local pki=$RUN/pki
  render audit.yaml >"$RUN/audit.yaml"
  # Aggregator routing sends webhook calls to pod addresses, so that they do not depend on kube-proxy.
  # Without a preferred address type, logs and exec would look up the node's name.
  launch apiserver "$(tool_dir kubernetes)/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 \
    --bind-address=0.0.0.0 --secure-port=6443 --advertise-address="$NODE_IP" \
    --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" --client-ca-file="$pki/ca.crt" \
    --service-account-key-file="$pki/sa.pub" --service-account-signing-key-file="$pki/sa.key" \
    --service-account-issuer=https://kubernetes.default.svc.cluster.local \
    --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged \
    --service-cluster-ip-range="$SERVICE_NET" --enable-aggregator-routing=true \
    --audit-policy-file="$RUN/audit.yaml" --audit-log-path="$RUN/log/audit.log" --audit-log-maxsize=100 --audit-log-maxbackup=3 \
    --requestheader-client-ca-file="$pki/ca.crt" --requestheader-allowed-names=front-proxy \
    --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group \
    --requestheader-extra-headers-prefix=X-Remote-Extra- \
    --proxy-client-cert-file="$pki/front-proxy.crt" --proxy-client-key-file="$pki/front-proxy.key" \
    --kubelet-preferred-address-types=InternalIP --kubelet-certificate-authority="$pki/ca.crt" \
    --kubelet-client-certificate="$pki/admin.crt" --kubelet-client-key="$pki/admin.key"
}
ready_apiserver() { kubectl get --raw /readyz; }

run_kcm() {
  local pki=$RUN/pki
  # Autoscalers look three times as often as usual, so that tests need not wait as long.
  launch kcm "$(tool_dir kubernetes)/kube-controller-manager" --kubeconfig="$RUN/kcm.conf" --leader-elect=false \
    --horizontal-pod-autoscaler-sync-period=5s \
    --root-ca-file="$pki/ca.crt" --service-account-private-key-file="$pki/sa.key" --use-service-account-credentials \
    --cluster-signing-cert-file="$pki/ca.crt" --cluster-signing-key-file="$pki/ca.key"
}
ready_kcm() { answers_tcp 10257; }

run_scheduler() {
  launch scheduler "$(tool_dir kubernetes)/kube-scheduler" --kubeconfig="$RUN/scheduler.conf" --leader-elect=false
}
ready_scheduler() { answers_tcp 10259; }

run_containerd() {
  mkdir -p "$RUN/cni"
  render containerd.toml >"$RUN/containerd.toml"
  render bridge.conflist >"$RUN/cni/10-bridge.conflist"
  # containerd finds its shim in PATH.
  launch containerd env PATH="$(tool_dir containerd):$PATH" "$(tool_dir containerd)/containerd" --config "$RUN/containerd.toml"
}
ready_containerd() { ctr version; }

run_kubelet() {
  mkdir -p "$RUN/kubelet" "$RUN/pod-logs"
  : >"$RUN/resolv.conf"
  render kubelet.yaml >"$RUN/kubelet.yaml"
  launch kubelet "$(tool_dir kubernetes)/kubelet" --config="$RUN/kubelet.yaml" --kubeconfig="$RUN/kubelet.conf" \
    --hostname-override="$NODE" --node-ip="$NODE_IP" --root-dir="$RUN/kubelet" --cert-dir="$RUN/pki"
}
ready_kubelet() { answers_tcp 10248; }

run_proxy() {
  render kube-proxy.yaml >"$RUN/kube-proxy.yaml"
  launch proxy "$(tool_dir kubernetes)/kube-proxy" --config="$RUN/kube-proxy.yaml"
}
ready_proxy() { answers_tcp 10256; }

run_kwok() {
  local stages file
  stages=$(module_dir kwok)/kustomize/stage
  for file in "$stages"/{node/fast/node-initialize,node/heartbeat-with-lease/node-heartbeat-with-lease} "$stages"/pod/fast/pod-{ready,complete,delete}; do
    printf -- '---\n' && cat "$file.yaml"
  done >"$RUN/kwok.yaml"
  launch kwok "$(tool_dir kwok)/kwok" --kubeconfig="$RUN/admin.conf" --config="$RUN/kwok.yaml" --cidr=10.99.0.1/16 --node-lease-duration-seconds=40 \
    --manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake
}

kubectl() { in_net "$(tool_dir kubernetes)/kubectl" --kubeconfig="$RUN/admin.conf" --request-timeout=10s "$@"; }

ctr() { in_net "$(tool_dir containerd)/ctr" --address="$RUN/containerd/sock" --namespace=k8s.io "$@"; }

# render FILE: a file of conf/ or manifests/ with this cluster's values.
render() {
  local file=$HERE/conf/$1
  [[ -f $file ]] || file=$HERE/manifests/$1
  sed -e "s|@RUN@|$RUN|g; s|@SCOPE@|$SCOPE|g; s|@NODE@|$NODE|g; s|@NODE_IP@|$NODE_IP|g; s|@POD_NET@|$POD_NET|g" \
    -e "s|@SERVICE_NET@|$SERVICE_NET|g; s|@DNS_IP@|$DNS_IP|g; s|@INGRESS_IP@|$INGRESS_IP|g" \
    -e "s|@PROMETHEUS_IP@|$PROMETHEUS_IP|g; s|@TRAEFIK_IP@|$TRAEFIK_IP|g; s|@RUNC@|$(command -v runc)|g" "$file"
}
