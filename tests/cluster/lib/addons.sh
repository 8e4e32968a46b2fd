# What runs as pods in every cluster: DNS, ingress-nginx, Prometheus, metrics-server.
# shellcheck shell=bash

ADDONS=(coredns ingress-nginx prometheus metrics-server)
# Nodes that kwok plays.
KWOK_NODES=10
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

# add NAME: one of the components that not every cluster has.
add() {
  case $1 in
  traefik) add_traefik ;;
  kwok) add_kwok ;;
  *) die "no optional component '$1'; there are: traefik kwok" ;;
  esac
}

# Nodes whose pods are ready as soon as they are scheduled, and do nothing.
add_kwok() {
  build_tools kwok
  alive kwok || run_kwok
  kubectl apply --server-side --force-conflicts -f - >"$RUN/log/kwok-nodes.log" 2>&1 < <(kwok_nodes) ||
    fail_with_log "making nodes failed" "$RUN/log/kwok-nodes.log"
  wait_until 60 kwok_is_ready || fail_with_log "the nodes did not become ready in 60 s" "$RUN/log/kwok.log"
  say "kwok: $KWOK_NODES nodes with label type=kwok and a taint of that key"
}

kwok_nodes() {
  local number
  for ((number = 0; number < KWOK_NODES; number++)); do
    printf -- '---\n'
    sed "s|@NUMBER@|$number|g" "$HERE/manifests/kwok-node.yaml"
  done
}

kwok_is_ready() { kubectl wait --for=condition=Ready node --selector=type=kwok --timeout=5s; }

add_traefik() {
  local digest
  # Any python3 does; a machine without one gets Debian's.
  [[ -d $(tool_dir traefik) ]] || python3 -m pip --version >/dev/null 2>&1 || install_missing python3-pip
  build_tools traefik
  build_images traefik
  say "traefik: image, objects"
  import_images traefik
  render traefik.yaml >"$RUN/traefik.yaml"
  digest=$(digest_of "$(<"$RUN/traefik.yaml")" "$(<"$HERE/manifests/traefik-api.yaml")" "$(tool_row gateway-api)" "$(image_tar traefik)")
  if [[ ! -e $RUN/traefik || $(<"$RUN/traefik") != "$digest" ]]; then
    run_logged "installing Gateway API" "$RUN/log/gateway-api.log" install_gateway_api
    run_logged "installing Traefik's API" "$RUN/log/traefik-api.log" install_traefik_api
    run_logged "installing Traefik" "$RUN/log/traefik.log" install_traefik
    printf '%s\n' "$digest" >"$RUN/traefik"
  fi
  say "traefik: Ingress class traefik, Gateway traefik/edge, at $TRAEFIK_IP:80"
}

install_gateway_api() {
  kubectl apply --server-side --force-conflicts -f "$(module_dir gateway-api)/config/crd/standard"
  # A definition is served some time after it was made.
  kubectl wait --for=condition=Established --timeout=30s crd/{gatewayclasses,gateways,httproutes}.gateway.networking.k8s.io
}

install_traefik_api() {
  kubectl apply --server-side --force-conflicts -f "$HERE/manifests/traefik-api.yaml"
  kubectl wait --for=condition=Established --timeout=30s -f "$HERE/manifests/traefik-api.yaml"
}

install_traefik() {
  kubectl apply --server-side --force-conflicts -f "$RUN/traefik.yaml"
  kubectl -n traefik rollout status deployment/traefik --timeout=120s || {
    kubectl -n traefik describe pods
    return 1
  }
}
