# etcd, the API server and the controllers.
# shellcheck shell=bash

start_etcd() {
    # The data lives as long as the cluster, which no crash outlives: no need to wait for the disk.
    node_run etcd etcd --data-dir /var/lib/etcd --unsafe-no-fsync --logger zap --log-level warn \
        --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
        --listen-peer-urls http://127.0.0.1:2380
}

start_api_server() {
    node_run kube-apiserver "$NODE_BIN/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 \
        --advertise-address="$NODE_IP" --secure-port=6443 --service-cluster-ip-range="$SERVICE_RANGE" \
        --tls-cert-file="$PKI/apiserver.crt" --tls-private-key-file="$PKI/apiserver.key" \
        --client-ca-file="$PKI/cluster.crt" --authorization-mode=Node,RBAC --allow-privileged \
        --enable-admission-plugins=NodeRestriction \
        --service-account-issuer=https://kubernetes.default.svc.cluster.local \
        --service-account-key-file="$PKI/service-account.key" \
        --service-account-signing-key-file="$PKI/service-account.key" \
        --kubelet-client-certificate="$PKI/apiserver-kubelet.crt" --kubelet-client-key="$PKI/apiserver-kubelet.key" \
        --kubelet-preferred-address-types=InternalIP \
        --requestheader-client-ca-file="$PKI/front-proxy.crt" --requestheader-allowed-names=front-proxy \
        --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group \
        --requestheader-extra-headers-prefix=X-Remote-Extra- \
        --proxy-client-cert-file="$PKI/aggregator.crt" --proxy-client-key-file="$PKI/aggregator.key"
}

# Each controller acts by its own account, to which the API server's built-in roles give what it needs.
# The autoscaler looks more often, and trusts a young pod's figures earlier, than in a cluster that lives for months.
start_controller_manager() {
    node_run kube-controller-manager "$NODE_BIN/kube-controller-manager" --kubeconfig="$PKI/controller-manager.conf" \
        --leader-elect=false --use-service-account-credentials \
        --service-account-private-key-file="$PKI/service-account.key" --root-ca-file="$PKI/cluster.crt" \
        --cluster-signing-cert-file="$PKI/cluster.crt" --cluster-signing-key-file="$PKI/cluster.key" \
        --horizontal-pod-autoscaler-sync-period=5s --horizontal-pod-autoscaler-initial-readiness-delay=5s \
        --horizontal-pod-autoscaler-cpu-initialization-period=15s
}

start_scheduler() {
    node_run kube-scheduler "$NODE_BIN/kube-scheduler" --kubeconfig="$PKI/scheduler.conf" --leader-elect=false
}

# All but etcd, which keeps its data meanwhile.
start_servers() {
    start_api_server
    wait_until "API server ready" 60 cluster get --raw /readyz
    start_controller_manager
    start_scheduler
}
