// Package e2e tells stories about the programs as people use them: a real Docker engine, real foreign clients and a
// real registry, against the real docker-safepull and safepull-proxy. Each story is a script in testdata; the commands
// that scripts have besides testscript's own are documented in commands_test.go.
//
// It is a module of its own, so that the engine's and the clients' dependencies are not the programs'. It needs root
// on Linux and Debian's docker.io and skopeo; `make e2e` installs them.
package e2e
