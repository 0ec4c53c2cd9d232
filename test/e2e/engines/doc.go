// Package engines starts private Docker engines for end-to-end tests: Debian's (image store: graph driver) and a current
// one with its own containerd (image store: containerd). Each has its own socket, roots, configuration and log under one
// short directory, no bridge and no firewall rules, and is stopped by its process id. Nothing of the machine's own engine
// is touched. Starting needs root on Linux.
package engines
