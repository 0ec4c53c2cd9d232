//go:build linux

// Command soak pulls through two proxies for as long as it is told, while upstreams misbehave and one of the proxies is
// killed again and again, and compares every byte that it receives with what the image truly has. `make soak` runs it.
//
// Images are of three kinds: those that everybody may have, those that mine, and new ones that appear during the run.
// The pulls are whole ones, parts by Range, cancelled ones, HEADs, and some by crane. Of the layer for which an image is
// refused, the parts that arrived are remembered for the whole run, so that it must not arrive in pieces either. Two of
// the upstreams are private, and each image there is one account's: those who ask are two accounts, strangers, and impostors
// with an account's name, and each asks for what only another may have. One proxy is killed with SIGKILL and started again on
// the same state; the other runs from the beginning to the end, so that its memory says something. What is asked for, and
// which faults come when, follows from a seed.
//
// It prints a table, one row a line: name, measured, goal, and "ok" or "short". The exit status is 0 when it could
// measure. Everything runs on loopback and in one temporary folder, and ends with the program.
package main
