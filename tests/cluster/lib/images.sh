# Makes the images of the cluster's own pods (there is no registry) and brings images in.
# shellcheck shell=bash disable=SC2034 # the other files use CLUSTER_IMAGES

CLUSTER_IMAGES=(pause coredns ingress-nginx prometheus metrics-server)

# What the ingress-nginx image takes from Debian, with all it depends on; nothing of it is installed here.
NGINX_PACKAGES=(nginx libnginx-mod-http-lua libnginx-mod-http-headers-more-filter
  lua-resty-core lua-resty-lrucache lua-cjson busybox-static socat)

# image_tar NAME: where its archive is, named after all that goes into it.
image_tar() {
  local key
  key=$(digest_of "$(cat "$HERE/mkimage")" "$(declare -f "make_image_$1")" "$("inputs_$1")")
  printf '%s/images/%s-%s.tar\n' "$CACHE" "$1" "$key"
}

inputs_pause() { cat "$HERE/images/pause.c"; }
inputs_coredns() { tool_dir coredns; }
inputs_prometheus() { tool_dir prometheus; }
inputs_metrics-server() { tool_dir metrics-server; }
inputs_traefik() { tool_dir traefik; }
inputs_ingress-nginx() {
  tool_dir ingress-nginx
  printf '%s\n' "${NGINX_PACKAGES[@]}"
  declare -f nginx_rootfs controller_rootfs
  find "$HERE/images/ingress-nginx" -type f -print -exec cat {} + | sed "s|$HERE||"
}

# build_images NAME...
build_images() {
  local name tar
  for name in "$@"; do
    tar=$(image_tar "$name")
    [[ -f $tar ]] || with_lock "image-$name" build_image "$name" "$tar"
  done
}

build_image() {
  local name=$1 tar=$2 work log
  [[ ! -f $tar ]] || return 0
  log=$CACHE/log/image-$name.log
  mkdir -p "$CACHE/images" "$CACHE/tmp"
  rm -rf "$CACHE/tmp/image-$name".*
  work=$(mktemp -d "$CACHE/tmp/image-$name.XXXXXX")
  chmod 755 "$work"
  say "image $name: making it"
  run_logged "making the image $name" "$log" "make_image_$name" "$work" "$work/image.tar"
  mv "$work/image.tar" "$tar"
  rm -rf "$work"
}

make_image_pause() {
  cc -Os -static -o "$1/pause" "$HERE/images/pause.c"
  strip "$1/pause"
  "$HERE/mkimage" localhost/pause:1 "$2" --user 65532 "$1/pause=/pause"
}

make_image_coredns() {
  "$HERE/mkimage" localhost/coredns:v1.15.0 "$2" "$(tool_dir coredns)/coredns=/coredns"
}

make_image_prometheus() {
  local bin
  bin=$(tool_dir prometheus)
  "$HERE/mkimage" localhost/prometheus:v3.16.0 "$2" --user 65532 \
    "$bin/prometheus=/bin/prometheus" "$bin/promtool=/bin/promtool"
}

make_image_metrics-server() {
  "$HERE/mkimage" localhost/metrics-server:v0.9.0 "$2" --user 65532 "$(tool_dir metrics-server)/metrics-server=/metrics-server"
}

make_image_traefik() {
  "$HERE/mkimage" localhost/traefik:v3.7.15 "$2" --user 65532 "$(tool_dir traefik)/traefik=/traefik"
}

make_image_ingress-nginx() {
  nginx_rootfs "$1"
  controller_rootfs "$1/rootfs"
  "$HERE/mkimage" localhost/ingress-nginx:v1.11.1 "$2" --rootfs "$1/rootfs" --env NGINX_BINARY=/nginx-wrapper \
    "$(tool_dir ingress-nginx)/nginx-ingress-controller=/nginx-ingress-controller"
}

# nginx_rootfs WORK: Debian's nginx and its libraries, unpacked but not installed.
nginx_rootfs() {
  local root=$1/rootfs deb dir
  mkdir -p "$1/debs/partial" "$root/usr"
  # An empty package state makes apt fetch the dependencies this machine already has, too.
  apt_with_lists install --download-only --no-install-recommends -o Dir::State::status=/dev/null \
    -o Dir::Cache::archives="$1/debs" -o Debug::NoLocking=true -o APT::Sandbox::User=root "${NGINX_PACKAGES[@]}"
  for dir in bin sbin lib lib64; do
    mkdir -p "$root/usr/$dir"
    ln -s "usr/$dir" "$root/$dir"
  done
  for deb in "$1"/debs/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar --extract --keep-directory-symlink -C "$root"
  done
  rm -rf "$root/usr/share/"{doc,man,locale,lintian,bash-completion} "$root"/usr/lib/*-linux-gnu/gconv
  # Debian's configuration makes way for the controller's, which only lacks this one file.
  find "$root/etc/nginx" -mindepth 1 ! -name mime.types -delete
  printf 'root:x:0:0:root:/:/bin/busybox\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$root/etc/passwd"
  printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
}

# controller_rootfs ROOT: the controller's own configuration, template and Lua.
controller_rootfs() {
  local root=$1 module
  module=$(module_dir ingress-nginx)
  cp -r "$module/rootfs/etc/nginx/." "$root/etc/nginx/"
  chmod -R u+w "$root/etc/nginx"
  rm -rf "$root/etc/nginx/lua/test"
  # The stream block needs a Lua module that Debian lacks; TCP and UDP services are not tested here.
  sed -i '/^stream {$/,/^}$/d' "$root/etc/nginx/template/nginx.tmpl"
  cp -r "$HERE/images/ingress-nginx/lua/." "$root/etc/nginx/lua/"
  install -m 755 "$HERE/images/ingress-nginx/nginx-wrapper" "$root/nginx-wrapper"
  mkdir -p "$root"/etc/ingress-controller/{ssl,auth,telemetry,geoip} "$root/tmp/nginx" "$root/var/log/nginx" "$root/var/lib/nginx"
  chmod 1777 "$root/tmp"
}

# module_dir NAME: the tool's unpacked Go module.
module_dir() (
  cd /
  environment=$(tool_field "$1" 6)
  # shellcheck disable=SC2163 # the variable holds NAME=VALUE
  [[ -z $environment ]] || export "$environment"
  go mod download -json "$(tool_field "$1" 2)@$(tool_field "$1" 3)" | sed -nE 's/.*"Dir": "(.*)".*/\1/p'
)

# import_images NAME...: brings images in, unless they already are.
import_images() {
  local name
  for name in "$@"; do
    import_once "$name" "$(image_tar "$name")"
  done
}

import_once() {
  local mark=$RUN/imported/$1
  mkdir -p "$RUN/imported"
  [[ ! -e $mark || $(<"$mark") != "$2" ]] || return 0
  import_tar "$2"
  printf '%s\n' "$2" >"$mark"
}

import_tar() {
  [[ -f $1 ]] || die "no file $1"
  ctr images import --no-unpack=false "$1" >>"$RUN/log/import.log" 2>&1 ||
    fail_with_log "importing $1 failed" "$RUN/log/import.log"
}
