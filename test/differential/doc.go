// Package differential compares our reading of layers with that of the engines: what containerd and moby unpack from a
// layer that our walk calls whole, the walk has shown; and the tables of contents that foreign builders write agree with
// their layers.
//
// It is a module of its own, so that the engines' dependencies are not the programs'. The engines need root: they unpack
// in a child process that changed its root to a temporary folder, since hostile layers are what this is about.
package differential
