// Package arch keeps the house in order: which way imports point, what stands at the top level, how large a file, a
// function, an interface and a package may grow, and that everything exported is documented. It reads the source
// with go/parser only, so that the test cache sees every file it depends on.
//
// Read next: law.go has the import law as a table, budget.go the numbers, state.go what a package may not keep.
package arch
