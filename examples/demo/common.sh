# What run and down share. Sourced by them.
# shellcheck shell=bash disable=SC2034 # the scripts that source this use them

ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
CLUSTER=${HALDANE_DEMO_CLUSTER:-demo}
cluster=$ROOT/tests/cluster/cluster

# The same as in the Makefile, for those who call a script by itself.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$ROOT/target}
export CARGO_BUILD_TARGET=${CARGO_BUILD_TARGET:-$(rustc -vV | sed -n 's/^host: //p')}
export RUSTFLAGS=${RUSTFLAGS:--C target-feature=+crt-static}
export HALDANE_STARTED=${HALDANE_STARTED:-$(date +%s)}
BIN=$CARGO_TARGET_DIR/$CARGO_BUILD_TARGET/release
WORK=$CARGO_TARGET_DIR/demo

step() { "$ROOT/tests/step" "$@"; }
