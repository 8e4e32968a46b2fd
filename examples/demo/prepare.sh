# Everything before the story: build, cluster, images, Haldane, the application. Sourced by run.
# shellcheck shell=bash disable=SC2154 # common.sh has what run knows

# inside COMMAND...: in the cluster's network, which has no way out.
inside() { nsenter --net="$HALDANE_NETNS" -- "$@"; }
kubectl() { inside "$KUBECTL" "$@"; }

# image NAME BINARY: packs the binary and prints the image's name. The tag is the content's, so that a
# changed binary is a changed image.
image() {
  local tag
  tag=localhost/$1:$(sha256sum "$2" | cut -c1-12)
  "$ROOT/tests/cluster/mkimage" "$tag" "$WORK/$1.tar" --user 65532:65532 "$2=/$1" >/dev/null
  "$cluster" load-image "$CLUSTER" "$WORK/$1.tar" >/dev/null
  printf '%s\n' "$tag"
}

# overlay FOLDER BASE IMAGE FULL_NAME: a kustomization that only chooses the image.
overlay() {
  local name=${4%:*} tag=${4##*:}
  mkdir -p "$WORK/$1"
  cat >"$WORK/$1/kustomization.yaml" <<YAML
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [$(realpath --relative-to="$WORK/$1" "$2")]
images: [{name: $3, newName: $name, newTag: "$tag"}]
YAML
}

# eventually SECONDS WHAT COMMAND...
eventually() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < deadline)) || die "$what did not happen in time: $*"
    sleep 0.3
  done
}

enter_cluster() {
  local line
  while read -r line; do
    export "${line?}"
  done < <("$cluster" env "$CLUSTER")
}

# Haldane writes the authority of its certificate into its webhook configurations.
is_trusted() {
  local kind
  for kind in mutating validating; do
    [[ -n $(kubectl get "${kind}webhookconfiguration" haldane -o 'jsonpath={.webhooks[0].clientConfig.caBundle}') ]]
  done
}

install_haldane() {
  overlay haldane "$ROOT/deploy" haldane "$(image haldane "$BIN/haldane")"
  kubectl apply -k "$WORK/haldane" >"$WORK/apply.log"
  kubectl -n haldane-system rollout status deployment/haldane --timeout=90s >>"$WORK/apply.log"
  eventually 30 "the webhooks' certificate" is_trusted
}

# An earlier run may have left its last act.
install_app() {
  overlay app "$DEMO" localhost/sample-app "$(image sample-app "$BIN/examples/sample-app")"
  kubectl delete namespace demo --ignore-not-found --timeout=90s >>"$WORK/apply.log"
  kubectl apply -k "$WORK/app" >>"$WORK/apply.log"
  kubectl -n demo rollout status deployment/sample-app --timeout=90s >>"$WORK/apply.log"
  eventually 30 "an answer through the ingress" \
    inside curl --silent --fail --max-time 2 --header 'Host: sample-app.example.com' "http://$HALDANE_INGRESS/"
}

prepare() {
  step "build" cargo build --release --manifest-path "$ROOT/Cargo.toml" --bins --examples
  step "cluster $CLUSTER" "$cluster" up "$CLUSTER"
  enter_cluster
  printf 'installing Haldane: kubectl apply -k deploy/\n'
  install_haldane
  printf 'installing the application: kubectl apply -k examples/demo\n'
  install_app
}
