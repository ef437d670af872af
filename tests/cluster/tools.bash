# Where each program of the cluster comes from, and where its build is kept.
# shellcheck shell=bash disable=SC2034  # the list is for the scripts that source this file

TOOL_FAMILIES=(kubernetes coredns helm metrics-server jaeger fixtures)

# tool_packages FAMILY: the main packages to build, one per line. A family names them by its imports (tools.go), is one
# itself (main.go), or keeps one in each folder.
tool_packages() {
    local module=$CLUSTER_SOURCE/tools/$1 main
    if [[ -f $module/tools.go ]]; then
        sed -n 's/^[[:space:]]*\(import \)\{0,1\}_ "\(.*\)"$/\2/p' "$module/tools.go"
    elif [[ -f $module/main.go ]]; then
        echo "./../$1"
    else
        for main in "$module"/*/main.go; do
            main=${main%/main.go}
            echo "./${main##*/}"
        done
    fi
}

# tool_ldflags FAMILY: a server that was not told its version says v0.0.0, which its clients take badly.
tool_ldflags() {
    local flags="-s -w" version part=k8s.io/component-base/version
    if [[ $1 == kubernetes ]]; then
        version=$(awk '$2 == "k8s.io/kubernetes" { print $3; exit }' "$CLUSTER_SOURCE/tools/$1/go.mod")
        local major=${version%%.*} minor=${version#*.}
        flags+=" -X $part.gitVersion=$version -X $part.gitMajor=${major#v} -X $part.gitMinor=${minor%%.*}"
    fi
    echo "$flags"
}

# tool_folder FAMILY: another folder whenever what goes into the build changes.
tool_folder() {
    local hash
    hash=$({
        find "$CLUSTER_SOURCE/tools/$1" -type f -print0 | sort -z | xargs -0 cat
        tool_ldflags "$1"
        go env GOVERSION GOARCH
    } | sha256sum)
    echo "$CLUSTER_CACHE/$1-${hash:0:16}"
}
