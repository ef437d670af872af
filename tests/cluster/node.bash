# The node: a set of namespaces (network, mounts, processes) in which everything of the cluster lives.
#
# Nothing that Kubernetes does to a machine (links, nftables rules, mounts, processes, /var/lib, /run) is done to this
# one, no packet has a way out to other networks, and ending the first process ends all of it. Only cgroups and kernel
# settings have no namespace; node_destroy puts those back.
# shellcheck shell=bash disable=SC2153  # the addresses are in settings.bash

NODE_ROOT=$CLUSTER_DIR/node
NODE_LOGS=$CLUSTER_DIR/logs
NODE_BIN=$CLUSTER_DIR/bin

# What the kubelet insists on setting for the whole machine.
KERNEL_SETTINGS=(
    kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys kernel.keys.root_maxbytes
    vm.overcommit_memory vm.panic_on_oom
)

# process_birth PID: clock ticks from boot to its start, which tells it from a later process of the same number.
process_birth() {
    awk '{ sub(/.*\) /, ""); print $20 }' "/proc/$1/stat" 2>/dev/null
}

# node_pid: the first process of the node, as this machine numbers it; fails when there is none.
node_pid() {
    local pid birth
    [[ -r $CLUSTER_DIR/node.pid ]] || return 1
    read -r pid birth <"$CLUSTER_DIR/node.pid"
    [[ $(process_birth "$pid") == "$birth" ]] || return 1
    echo "$pid"
}

# node_enter COMMAND...: runs inside the node, and waits.
node_enter() {
    local pid
    pid=$(node_pid) || die "no cluster is up in $CLUSTER_DIR"
    nsenter --target "$pid" --net --mount --pid --wd=/ -- "$@"
}

# node_run NAME COMMAND...: starts a program that stays; its number inside the node is kept in NAME.pid.
node_run() {
    local name=$1
    shift
    # shellcheck disable=SC2016  # expanded inside the node
    node_enter setsid bash -c 'echo $$ >"$1"; exec "${@:2}"' - "$CLUSTER_DIR/$name.pid" "$@" \
        >"$NODE_LOGS/$name.log" 2>&1 </dev/null &
}

# cluster ARGUMENT...: kubectl as an administrator.
cluster() {
    "$NODE_BIN/kubectl" --kubeconfig "$CLUSTER_DIR/pki/admin.conf" "$@"
}

node_create() {
    local launcher init
    sysctl --ignore "${KERNEL_SETTINGS[@]}" >"$CLUSTER_DIR/kernel-settings"
    setsid unshare --net --mount --pid --fork --mount-proc "$NODE_BIN/pause" </dev/null >"$NODE_LOGS/node.log" 2>&1 &
    launcher=$!
    wait_until "node" 10 pgrep -P "$launcher"
    init=$(pgrep -P "$launcher")
    echo "$init $(process_birth "$init")" >"$CLUSTER_DIR/node.pid"
    node_mounts
    node_network
}

# The usual paths inside the node are folders of its own below CLUSTER_DIR.
node_mounts() {
    local path
    for path in /var/lib /var/log /run; do
        mkdir -p "$NODE_ROOT$path"
        node_enter mount --bind "$NODE_ROOT$path" "$path"
    done
}

# One link leads from this machine to the node and through it to the pods and Services, as a client outside of the
# cluster would come.
node_network() {
    ip link add "$OUTSIDE_LINK" type veth peer name eth0 netns "$(node_pid)"
    ip address add "$OUTSIDE_IP/24" dev "$OUTSIDE_LINK"
    ip link set "$OUTSIDE_LINK" up
    node_enter ip link set lo up
    node_enter ip address add "$NODE_IP/24" dev eth0
    node_enter ip link set eth0 up
    node_enter sysctl -qw net.ipv4.ip_forward=1
    # The node's own packets need a route before the packet filter turns a Service's address into a pod's.
    node_enter ip route add "$SERVICE_RANGE" dev eth0
    ip route add "$SERVICE_RANGE" via "$NODE_IP"
    ip route add "$POD_RANGE" via "$NODE_IP"
}

# node_destroy: the kernel kills what is left in the node when its first process ends, and takes back the rest.
node_destroy() {
    local pid
    if pid=$(node_pid); then
        kill -TERM "$pid"
        wait_until "node ended" 30 process_gone "$pid"
    fi
    [[ ! -e $CLUSTER_DIR/kernel-settings ]] || sysctl -qp "$CLUSTER_DIR/kernel-settings"
    wait_until "cgroups removed" 30 remove_cgroups
}

process_gone() {
    [[ ! -d /proc/$1 ]]
}

# pod_cgroups: the top cgroup of all pods, once per hierarchy.
pod_cgroups() {
    find /sys/fs/cgroup -maxdepth 2 -type d -name kubepods
}

# A cgroup can be removed a moment after its last process is gone.
remove_cgroups() {
    local top
    while read -r top; do
        find "$top" -depth -type d -exec rmdir {} +
    done < <(pod_cgroups)
    [[ -z $(pod_cgroups) ]]
}
