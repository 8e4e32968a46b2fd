# What runs as pods in every cluster: DNS, ingress-nginx, Prometheus, metrics-server.
# shellcheck shell=bash

ADDONS=(coredns ingress-nginx prometheus metrics-server)
ADDON_DEPLOYMENTS=(kube-system/coredns ingress-nginx/ingress-nginx-controller monitoring/prometheus kube-system/metrics-server)

apply_addons() {
  local name all digest
  all=$(for name in "${ADDONS[@]}"; do printf -- '---\n' && render "$name.yaml"; done)
  digest=$(digest_of "$all")
  [[ ! -e $RUN/addons || $(<"$RUN/addons") != "$digest" ]] || return 0
  say "DNS, ingress-nginx, Prometheus, metrics-server"
  kubectl apply --server-side --force-conflicts -f - <<<"$all" >"$RUN/log/addons.log" 2>&1 ||
    fail_with_log "applying the addons failed" "$RUN/log/addons.log"
  printf '%s\n' "$digest" >"$RUN/addons"
}

await_node() {
  wait_until 120 node_is_ready || fail_with_log "the node did not become ready in 120 s" "$RUN/log/kubelet.log"
}

node_is_ready() { kubectl wait --for=condition=Ready "node/$NODE" --timeout=5s; }

await_addons() {
  local one
  for one in "${ADDON_DEPLOYMENTS[@]}"; do
    kubectl -n "${one%/*}" rollout status "deployment/${one#*/}" --timeout=180s >"$RUN/log/rollout.log" 2>&1 || {
      kubectl -n "${one%/*}" describe pods >>"$RUN/log/rollout.log" 2>&1 || true
      fail_with_log "$one did not become available in 180 s" "$RUN/log/rollout.log"
    }
  done
}
