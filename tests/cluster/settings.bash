# Places, addresses and names of the test cluster. Sourced by every script of this folder.
# shellcheck shell=bash disable=SC2034  # most of these are read by the scripts that source this file

CLUSTER_SOURCE=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

# What was built outlives a cluster and a checkout; what one cluster writes does not outlive `down`.
CLUSTER_CACHE=${POSTERN_TEST_CACHE:-$HOME/.cache/postern-tests}/cluster
CLUSTER_DIR=${POSTERN_CLUSTER_DIR:-${TMPDIR:-/tmp}/postern-cluster-$(id -u)}

# A cluster that somebody else runs: then nothing is started, stopped or loaded here.
OTHER_CLUSTER=${POSTERN_TEST_KUBECONFIG:-}

# Everything lies in 198.18.0.0/15, the range set aside for benchmarks (RFC 2544), which no network routes.
CLUSTER_RANGE=198.18.0.0/16
SERVICE_RANGE=198.18.0.0/24
API_SERVICE_IP=198.18.0.1
DNS_SERVICE_IP=198.18.0.10
POD_RANGE=198.18.1.0/24
POD_GATEWAY=198.18.1.1
NODE_IP=198.18.2.2
# The test machine as the cluster sees it: the client outside, for whose address externalTrafficPolicy Local cares.
OUTSIDE_IP=198.18.2.1
OUTSIDE_LINK=postern-e2e

NODE_NAME=postern-node
PAUSE_IMAGE=postern.test/pause:1
WORKLOAD_IMAGE=postern.test/workload:1
LINKED_IMAGE=postern.test/curl:1

say() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

die() {
    say "$*"
    exit 1
}

need_root() {
    [[ $(id -u) == 0 ]] || die "must run as root: a node makes namespaces, cgroups and mounts"
}

# seconds_since START: with one decimal; START is a value of $EPOCHREALTIME.
seconds_since() {
    awk -v from="$1" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.1f", to - from }'
}

# poll WHAT SECONDS COMMAND...: until the command succeeds; fails with its last words when the time is over.
poll() {
    local what=$1 limit=$2 end=$((SECONDS + $2)) words
    shift 2
    until words=$("$@" 2>&1); do
        ((SECONDS < end)) || die "$what: not within $limit s: $words"
        sleep 0.1
    done
}

wait_until() {
    local from=$EPOCHREALTIME
    poll "$@"
    say "$1 after $(seconds_since "$from") s"
}
