# Builds the programs of tools.conf, each once, into the cache.
# shellcheck shell=bash disable=SC2034 # the other files use CLUSTER_TOOLS

CLUSTER_TOOLS=(kubernetes etcd containerd coredns ingress-nginx prometheus metrics-server)

# tool_row NAME: the line of tools.conf that describes the tool.
tool_row() {
  grep -E "^$1 +\|" "$HERE/tools.conf" || die "no tool called '$1' in tools.conf"
}

# tool_field NAME NUMBER: one column, outer blanks removed.
tool_field() {
  tool_row "$1" | cut -d'|' -f"$2" | sed -E 's/^ +//; s/ +$//'
}

# tool_dir NAME: where its binaries are once built. The key holds all that decides what they are.
tool_dir() {
  local key
  key=$(digest_of "$(tool_row "$1")" "$(go env GOVERSION GOOS GOARCH)")
  printf '%s/bin/%s-%s-%s\n' "$CACHE" "$1" "$(tool_field "$1" 3)" "$key"
}

build_tools() {
  local name
  command -v go >/dev/null || die "go is needed to build the cluster's programs and is not in PATH"
  for name in "$@"; do
    tool_row "$name" >/dev/null
    [[ -d $(tool_dir "$name") ]] || with_lock "$name" build_tool "$name"
  done
}

build_tool() {
  local name=$1 dir log work started=$SECONDS
  dir=$(tool_dir "$name")
  log=$CACHE/log/build-$name.log
  # Asked again: another run may have finished it while this one waited for the lock.
  [[ ! -d $dir ]] || return 0
  rm -rf "$CACHE/tmp/build-$name".*
  mkdir -p "$CACHE/tmp" "$CACHE/bin"
  work=$(mktemp -d "$CACHE/tmp/build-$name.XXXXXX")
  say "$name: building $(tool_field "$name" 3), log in $log"
  run_logged "building $name" "$log" produce "$name" "$work"
  # The rename is what makes a build count as done.
  mv "$work/out" "$dir"
  chmod -R go+rX "$dir"
  rm -rf "$work"
  say "$name: built in $((SECONDS - started)) s"
}

# produce NAME WORK: the tool's binaries, in WORK/out.
produce() {
  case $(tool_field "$1" 2) in
  pypi:*) unpack_wheel "$@" ;;
  *) compile "$@" ;;
  esac
}

# unpack_wheel NAME WORK: what PyPI distributes as it is, if it still is what it was.
unpack_wheel() (
  name=$1 work=$2
  package=$(tool_field "$name" 2)
  printf '%s==%s --hash=sha256:%s\n' "${package#pypi:}" "$(tool_field "$name" 3)" "$(tool_field "$name" 5)" >"$work/requirements.txt"
  python3 -m pip download --no-input --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
    --dest "$work/wheel" --requirement "$work/requirements.txt"
  python3 -m zipfile --extract "$work"/wheel/*.whl "$work/unpacked"
  mkdir -p "$work/out"
  read -r -a binaries <<<"$(tool_field "$name" 7)"
  for binary in "${binaries[@]}"; do
    install -m 755 "$work"/unpacked/*.data/scripts/"${binary#*=}" "$work/out/${binary%%=*}"
  done
)

# compile NAME WORK: one module of its own per tool, since their dependencies contradict each other.
compile() (
  name=$1 work=$2
  mkdir -p "$work/out" "$work/src"
  cd "$work/src" || exit
  export GOTOOLCHAIN=local CGO_ENABLED=0 GOFLAGS='-mod=mod -buildvcs=false' GOWORK=off
  environment=$(tool_field "$name" 6)
  # shellcheck disable=SC2163 # the variable holds NAME=VALUE
  [[ -z $environment ]] || export "$environment"
  write_go_mod "$name" >go.mod
  read -r -a binaries <<<"$(tool_field "$name" 7)"
  # All packages at once share the two cores best; -v is what the heartbeat shows.
  nice -n 5 go build -v -trimpath -tags "$(tool_field "$name" 4)" \
    -ldflags "-s -w $(tool_field "$name" 5)" -o "$work/out/" "${binaries[@]#*=}"
  for binary in "${binaries[@]}"; do
    built=$work/out/$(default_name "${binary#*=}")
    [[ $built == "$work/out/${binary%%=*}" ]] || mv "$built" "$work/out/${binary%%=*}"
  done
)

# default_name PACKAGE: what go calls its binary, the last part of the path that is no major version.
default_name() {
  local path=$1
  [[ ${path##*/} =~ ^v[0-9]+$ ]] && path=${path%/*}
  printf '%s\n' "${path##*/}"
}

write_go_mod() {
  local module version
  module=$(tool_field "$1" 2) version=$(tool_field "$1" 3)
  printf 'module haldane.invalid/tools/%s\n\ngo 1.26.0\n\nrequire %s %s\n' "$1" "$module" "$version"
  [[ $1 != kubernetes ]] || replace_staging "$version"
}

# Kubernetes requires its own libraries as v0.0.0 and replaces them by folders of its
# repository. Outside of it they are the published ones: v1.36.3 goes with v0.36.3.
replace_staging() {
  local mod
  mod=$(cd / && go mod download -json "k8s.io/kubernetes@$1" | sed -nE 's/.*"GoMod": "(.*)".*/\1/p')
  printf '\nreplace (\n'
  sed -nE "s|^[[:space:]]*(k8s.io/[a-z-]+) v0\.0\.0( .*)?$|\t\1 => \1 v0.${1#v1.}|p" "$mod"
  printf ')\n'
}
