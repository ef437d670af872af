# The cluster's own authority, certificates and kubeconfigs.
# shellcheck shell=bash

PKI=$CLUSTER_DIR/pki

# authority NAME: a self-signed one.
authority() {
    certificate "$1" "/CN=$1" basicConstraints=critical,CA:TRUE keyUsage=critical,keyCertSign,cRLSign
}

# issued AUTHORITY NAME SUBJECT [EXTENSION...]: for a client or server.
issued() {
    local by=$1 name=$2 subject=$3
    shift 3
    certificate "$name" "$subject" basicConstraints=critical,CA:FALSE extendedKeyUsage=clientAuth,serverAuth "$@" \
        -CA "$PKI/$by.crt" -CAkey "$PKI/$by.key"
}

# certificate NAME SUBJECT [EXTENSION | -OPTION VALUE]...: NAME.crt and NAME.key, good for a month.
certificate() {
    local name=$1 subject=$2 options=()
    shift 2
    while (($#)); do
        if [[ $1 == -* ]]; then
            options+=("$1" "$2")
            shift 2
        else
            options+=(-addext "$1")
            shift
        fi
    done
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 30 -subj "$subject" "${options[@]}" \
        -config <(printf '[req]\ndistinguished_name = subject\n[subject]\n') \
        -keyout "$PKI/$name.key" -out "$PKI/$name.crt" 2>/dev/null
}

# kubeconfig NAME USER [GROUP]: $PKI/NAME.conf, which holds everything it needs.
kubeconfig() {
    issued cluster "$1" "${3:+/O=$3}/CN=$2"
    cat >"$PKI/$1.conf" <<YAML
apiVersion: v1
kind: Config
current-context: postern-e2e
contexts:
- name: postern-e2e
  context: {cluster: postern-e2e, user: $1}
clusters:
- name: postern-e2e
  cluster:
    server: https://$NODE_IP:6443
    certificate-authority-data: $(base64 -w0 <"$PKI/cluster.crt")
users:
- name: $1
  user:
    client-certificate-data: $(base64 -w0 <"$PKI/$1.crt")
    client-key-data: $(base64 -w0 <"$PKI/$1.key")
YAML
}

make_certificates() {
    local names=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc
    mkdir -p "$PKI"
    authority cluster
    authority front-proxy
    issued front-proxy aggregator /CN=front-proxy
    issued cluster apiserver /CN=kube-apiserver "subjectAltName=$names,IP:$API_SERVICE_IP,IP:$NODE_IP,IP:127.0.0.1"
    # The kubelets ask the API server who may do what; its own calls to them come as an administrator.
    issued cluster apiserver-kubelet /O=system:masters/CN=kube-apiserver
    openssl genrsa -out "$PKI/service-account.key" 2048 2>/dev/null
    kubeconfig admin admin system:masters
    kubeconfig controller-manager system:kube-controller-manager
    kubeconfig scheduler system:kube-scheduler
    kubeconfig proxy system:kube-proxy
    kubeconfig kubelet "system:node:$NODE_NAME" system:nodes
}
