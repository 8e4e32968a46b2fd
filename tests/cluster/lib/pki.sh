# Certificates and kubeconfigs. All of them die with the cluster.
# shellcheck shell=bash

ensure_pki() {
  local pki=$RUN/pki
  [[ ! -e $pki/done ]] || return 0
  say "certificates"
  mkdir -p "$pki"
  chmod 700 "$pki"
  new_ec_key "$pki/ca"
  openssl req -x509 -new -key "$pki/ca.key" -days 365 -subj /CN=haldane-test-ca -out "$pki/ca.crt"
  issue apiserver /CN=kube-apiserver \
    "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,DNS:$NODE,IP:127.0.0.1,IP:$API_SERVICE_IP,IP:$NODE_IP"
  # How the API server shows itself to those that it passes requests on to, such as metrics-server.
  issue front-proxy /CN=front-proxy
  issue_kubeconfig admin /O=system:masters/CN=admin
  issue_kubeconfig kcm /CN=system:kube-controller-manager
  issue_kubeconfig scheduler /CN=system:kube-scheduler
  issue_kubeconfig proxy /CN=system:kube-proxy
  issue_kubeconfig kubelet "/O=system:nodes/CN=system:node:$NODE"
  openssl genrsa -out "$pki/sa.key" 2048 2>/dev/null
  openssl rsa -in "$pki/sa.key" -pubout -out "$pki/sa.pub" 2>/dev/null
  touch "$pki/done"
}

new_ec_key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }

# issue FILE SUBJECT [NAMES]: a certificate signed by the cluster's authority.
issue() {
  local base=$RUN/pki/$1 subject=$2 names=${3:-} extensions
  extensions=$'extendedKeyUsage=serverAuth,clientAuth\n'
  [[ -z $names ]] || extensions+="subjectAltName=$names"
  new_ec_key "$base"
  openssl req -new -key "$base.key" -subj "$subject" -out "$base.csr"
  openssl x509 -req -in "$base.csr" -CA "$RUN/pki/ca.crt" -CAkey "$RUN/pki/ca.key" -CAcreateserial \
    -days 365 -out "$base.crt" -extfile <(printf '%s\n' "$extensions") 2>/dev/null
  rm "$base.csr"
}

# issue_kubeconfig NAME SUBJECT: self-contained, so it can be copied anywhere.
issue_kubeconfig() {
  issue "$1" "$2"
  cat >"$RUN/$1.conf" <<YAML
apiVersion: v1
kind: Config
clusters: [{name: haldane, cluster: {server: "https://127.0.0.1:6443", certificate-authority-data: $(base64 -w0 "$RUN/pki/ca.crt")}}]
users: [{name: $1, user: {client-certificate-data: $(base64 -w0 "$RUN/pki/$1.crt"), client-key-data: $(base64 -w0 "$RUN/pki/$1.key")}}]
contexts: [{name: haldane, context: {cluster: haldane, user: $1}}]
current-context: haldane
YAML
  chmod 600 "$RUN/$1.conf"
}

# user_kubeconfig USER [GROUP]: for tests that act as somebody with few rights; prints the path.
user_kubeconfig() {
  local user=$1 subject
  [[ $user =~ ^[A-Za-z0-9._-]+$ ]] || die "user name '$user': letters, digits, '.', '_' and '-' only"
  subject=${2:+/O=$2}/CN=$user
  issue_kubeconfig "user-$user" "$subject"
  printf '%s\n' "$RUN/user-$user.conf"
}
