# What the demo shows: one line a second, and the figures at the end. Sourced by run.
# shellcheck shell=bash disable=SC2154 # common.sh has what run knows

HEADER=' time  phase        step  weight  stable  canary  measured          last second'

chapter() { printf '\n=== %s ===\n%s\n' "$1" "$HEADER"; }

# look: the objects as one JSON list: the record of the rollout and both Deployments.
look() {
  kubectl -n demo get configmap/haldane-sample-app deployment/sample-app deployment/sample-app-canary \
    --ignore-not-found -o json
}

# What is needed of it, one word a line, so that empty words are words too.
# shellcheck disable=SC2016 # $names are jq's
FIELDS='
  def one(kind; name): [.items[] | select(.kind == kind and .metadata.name == name)][0] // {};
  def pods: if .spec then "\(.status.readyReplicas // 0)/\(.spec.replicas)" else "-" end;
  one("ConfigMap"; "haldane-sample-app").data as $data
  | ($data.state // "{}" | fromjson) as $state
  | ($state.rollout.runs // [] | last | .run.results // [] | last | .measurements // [] | last) as $measured
  | ($data.phase // "-"), ($data.step // "-"), ($data.weight // "0"),
    (one("Deployment"; "sample-app") | pods), (one("Deployment"; "sample-app-canary") | pods),
    (if $measured then "\($measured.value // "" | sub("(?<short>\\.[0-9]{2})[0-9]+"; .short)) \($measured.phase)" else "-" end)'

# The load generator says every second what came back.
traffic() {
  tail -n 1 "$WORK/load.log" |
    sed -nE 's/^ *[0-9.]+s +ok [0-9]+ +app errors ([0-9]+) +lost ([0-9]+) +p50.* ms +(.*)$/\3   errors \1  lost \2/p'
}

# show: prints a line and sets `phase`.
show() {
  local fields step weight stable canary measured
  mapfile -t fields < <(look | jq -r "$FIELDS")
  phase=${fields[0]:-?} step=${fields[1]:-} weight=${fields[2]:-} stable=${fields[3]:-} canary=${fields[4]:-} measured=${fields[5]:-}
  printf '%4ds  %-11s  %-4s  %5s%%  %-6s  %-6s  %-16s  %s\n' $((SECONDS - BEGUN)) \
    "$phase" "$step" "$weight" "$stable" "$canary" "$measured" "$(traffic)"
}

# watch_for SECONDS
watch_for() {
  local end=$((SECONDS + $1))
  while ((SECONDS < end)); do
    show
    sleep 1
  done
}

# watch_until SECONDS WHAT PHASE: shows until the phase is reached, after it was left once.
watch_until() {
  local end=$((SECONDS + $1)) left=
  until [[ -n $left && $phase == "$3" ]]; do
    ((SECONDS < end)) || die "$2 did not come within $1 s"
    show
    [[ $phase == "$3" ]] || left=yes
    sleep 1
  done
}

# outcome: how the newest rollout ended.
outcome() {
  kubectl -n demo get configmap haldane-sample-app -o 'jsonpath={.data.state}' | jq -r '.history | last | .outcome'
}

# shellcheck disable=SC2016 # $names are jq's
FIGURES='
  def seconds: (sub("\\.[0-9]+Z$"; "Z") | fromdate) + (capture("(?<f>\\.[0-9]+)Z$") | .f | "0\(.)" | tonumber);
  def tenths: . * 10 | round / 10;
  ($load[0].started | seconds) as $start
  | [$load[0].timeline[] | select(.by_version.v3) | .t] as $v3
  | [.rollout.runs[].run.results[].measurements[] | select(.phase == "Failed")][0] as $verdict
  | ($verdict.finishedAt | seconds) as $failed
  | (.rollout.traffic.seenAt | seconds) as $zero
  | "requests sent         \($load[0].sent) in \($load[0].seconds | floor) s",
    "answered by           \($load[0].by_version | to_entries | map("\(.key): \(.value.answers)") | join(", "))",
    "lost                  \($load[0].lost)",
    "errors by v3 itself   \($load[0].failed_5xx_by_version.v3 // 0)",
    "detection             \($failed - ($start + $v3[0]) | tenths) s  (first request to v3 -> failed measurement \($verdict.value))",
    "weight 0              \(($zero - $failed) * 1000 | round) ms  (failed measurement -> Ingress says 0)",
    "last request to v3    within \($start + ($v3 | last) + 1 - $failed | tenths) s of the failed measurement"'

summary() {
  printf '\n=== Summary ===\n'
  kubectl -n demo get configmap haldane-sample-app -o 'jsonpath={.data.state}' |
    jq -r --slurpfile load "$WORK/load.json" "$FIGURES"
  cat <<TEXT

Chart of the traffic: $WORK/load.svg
The cluster is still up. To look around:
  ${cluster#"$ROOT"/} exec $CLUSTER -- kubectl -n demo get deployments,services,ingresses
  ${cluster#"$ROOT"/} exec $CLUSTER -- kubectl -n demo describe configmap haldane-sample-app
  ${cluster#"$ROOT"/} exec $CLUSTER -- kubectl -n demo events --for deployment/sample-app
  ${cluster#"$ROOT"/} exec $CLUSTER -- kubectl -n demo annotate deployment/sample-app haldane.dev/do=retry
To remove it: make demo-down
TEXT
}
