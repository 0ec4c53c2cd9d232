// Command conformance runs the pull part of the official conformance suite of the distribution specification against
// safepull-proxy, and prints one line for every check: name, what came of it, the goal, and ok or short.
//
// The proxy takes no pushes. So images of every kind that it serves are pushed to the CNCF registry behind it, and the
// suite, which has a mode for registries that are only read, is told their tags, digests and referrers.
//
// It is a module of its own, so that the suite's dependencies are not the programs'. `make conformance` builds and runs it.
package main
