# What makes the node able to run pods: containerd, pod networking, kubelet and kube-proxy.
# shellcheck shell=bash

WORKER_CONFIG=$CLUSTER_DIR/worker

start_containerd() {
    mkdir -p "$WORKER_CONFIG/cni"
    # Every pod has its own link to the node instead of a common bridge, so traffic between two pods passes the node's
    # packet filter, and Services work without the br_netfilter module.
    cat >"$WORKER_CONFIG/cni/10-pods.conflist" <<JSON
{"cniVersion": "0.4.0", "name": "pods", "plugins": [{
  "type": "ptp",
  "ipam": {"type": "host-local", "subnet": "$POD_RANGE", "gateway": "$POD_GATEWAY", "routes": [{"dst": "0.0.0.0/0"}]}
}]}
JSON
    # restrict_oom_score_adj: without CAP_SYS_RESOURCE (a test machine may itself be a container) runc cannot lower the
    # score, and every pod would fail with "can't get final child's PID from pipe".
    cat >"$WORKER_CONFIG/containerd.toml" <<TOML
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$PAUSE_IMAGE"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$WORKER_CONFIG/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
TOML
    node_run containerd containerd --config "$WORKER_CONFIG/containerd.toml"
}

# Pods ask the cluster's DNS and nobody else, whatever the test machine's own resolv.conf says.
start_kubelet() {
    echo "nameserver $DNS_SERVICE_IP" >"$WORKER_CONFIG/resolv.conf"
    cat >"$WORKER_CONFIG/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: "$PKI/cluster.crt"}
authorization: {mode: Webhook}
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
clusterDNS: [$DNS_SERVICE_IP]
clusterDomain: cluster.local
resolvConf: $WORKER_CONFIG/resolv.conf
configMapAndSecretChangeDetectionStrategy: Watch
volumePluginDir: /var/lib/kubelet/volume-plugins
# The disk is the test machine's own; how full it is must not evict anything.
evictionHard: {memory.available: 100Mi, nodefs.available: 0%, nodefs.inodesFree: 0%, imagefs.available: 0%}
imageGCHighThresholdPercent: 100
YAML
    node_run kubelet "$NODE_BIN/kubelet" --config="$WORKER_CONFIG/kubelet.yaml" --kubeconfig="$PKI/kubelet.conf" \
        --hostname-override="$NODE_NAME" --node-ip="$NODE_IP" --housekeeping-interval=5s
}

# The connection table's size belongs to the machine, not to a network namespace: it is left as it is.
start_proxy() {
    node_run kube-proxy "$NODE_BIN/kube-proxy" --kubeconfig="$PKI/proxy.conf" --hostname-override="$NODE_NAME" \
        --proxy-mode=nftables --cluster-cidr="$POD_RANGE" --conntrack-max-per-core=0 --conntrack-min=0 \
        --conntrack-tcp-timeout-established=0 --conntrack-tcp-timeout-close-wait=0
}

node_ready() {
    cluster wait --for=condition=Ready "node/$NODE_NAME" --timeout=1s
}
