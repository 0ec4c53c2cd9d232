//go:build linux

// Command bench measures what safepull costs, on real parts of one machine in one run: a Docker engine, the CNCF's
// registry as upstream and as a pull-through proxy beside safepull-proxy, nginx with the upstream's files, and crane, the
// engine and a bare client as theirs. `make bench` runs it.
//
// It prints a table, one row a line: name, measured, goal, and "ok", or "short" where the goal is missed. A goal of "-"
// is none: the number is there to be compared with its neighbours. Alternatives are measured in turn, with fresh caches,
// and the median counts, so that a machine with other work to do blurs ratios less than times. Rows named "CPU" are
// processor seconds of the named server by itself, which other work blurs least.
//
// Throughput and memory of the proxies over time are drawn as SVG. With -baseline, single measurements are kept as benchstat
// reads them. baseline.txt is such a file, of one run on 2 cores that had other work to do.
//
// The exit status is 0 when everything could be measured, whatever came out. Everything runs on loopback and in one
// temporary folder, and ends with the program. It needs root on Linux, for the engine.
package main
