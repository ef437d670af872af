# What a pod expects of a cluster beside Kubernetes itself. They run as processes of the node; Services lead to them.
# shellcheck shell=bash

# on_node_service NAMESPACE NAME CLUSTER_IP PORT:TARGET[/UDP] ...: a Service whose only endpoint is the node.
# CLUSTER_IP may be empty, then the API server picks one.
on_node_service() {
    local namespace=$1 name=$2 address=$3 pair service_ports='' endpoint_ports='' protocol port target
    shift 3
    for pair; do
        protocol=TCP
        [[ $pair == */UDP ]] && protocol=UDP
        pair=${pair%/UDP}
        port=${pair%:*} target=${pair#*:}
        service_ports+="{name: p$port-${protocol,,}, port: $port, targetPort: $target, protocol: $protocol}, "
        endpoint_ports+="{name: p$port-${protocol,,}, port: $target, protocol: $protocol}, "
    done
    cluster apply -f - >/dev/null <<YAML
apiVersion: v1
kind: Service
metadata: {name: $name, namespace: $namespace}
spec:
  clusterIP: $address
  ports: [$service_ports]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: $name-node
  namespace: $namespace
  labels: {kubernetes.io/service-name: $name}
addressType: IPv4
endpoints: [{addresses: [$NODE_IP], conditions: {ready: true}}]
ports: [$endpoint_ports]
YAML
}

start_dns() {
    # No forwarding: names outside of the cluster are asked of nobody.
    cat >"$CLUSTER_DIR/Corefile" <<COREFILE
.:53 {
    errors
    ready 127.0.0.1:8181
    kubernetes cluster.local in-addr.arpa {
        kubeconfig $PKI/admin.conf
    }
}
COREFILE
    node_run coredns "$NODE_BIN/coredns" -conf "$CLUSTER_DIR/Corefile"
    on_node_service kube-system kube-dns "$DNS_SERVICE_IP" 53:53 53:53/UDP
}

dns_ready() {
    node_enter curl -fsS http://127.0.0.1:8181/ready
}

start_metrics_server() {
    node_run metrics-server "$NODE_BIN/metrics-server" --kubeconfig="$PKI/admin.conf" \
        --authentication-kubeconfig="$PKI/admin.conf" --authorization-kubeconfig="$PKI/admin.conf" \
        --cert-dir=/run/metrics-server --secure-port=4443 --kubelet-insecure-tls \
        --kubelet-preferred-address-types=InternalIP --metric-resolution=10s --kubelet-request-timeout=5s
    on_node_service kube-system metrics-server "" 443:4443
    cluster apply -f - >/dev/null <<YAML
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1beta1.metrics.k8s.io}
spec:
  group: metrics.k8s.io
  version: v1beta1
  service: {name: metrics-server, namespace: kube-system}
  insecureSkipTLSVerify: true
  groupPriorityMinimum: 100
  versionPriority: 100
YAML
}

metrics_ready() {
    cluster get --raw "/apis/metrics.k8s.io/v1beta1/nodes/$NODE_NAME"
}

start_jaeger() {
    node_run jaeger "$NODE_BIN/all-in-one" --log-level=warn
    cluster create namespace tracing >/dev/null
    on_node_service tracing jaeger "" 4317:4317 4318:4318 16686:16686
}

jaeger_ready() {
    curl -fsS "http://$NODE_IP:16686/api/services"
}
