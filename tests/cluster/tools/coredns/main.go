// Command coredns answers for the names of Services and pods in the test cluster.
//
// The released CoreDNS carries every plugin, cloud providers included; this one builds in a fraction of the time.
package main

import (
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"

	"github.com/coredns/coredns/coremain"
)

func main() {
	coremain.Run()
}
