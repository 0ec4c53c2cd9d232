// Command detect judges images by their content alone and says how well that went: how many of the generated mining
// images are stopped, group by group, and which benign images are not let through. `make detect` runs it.
//
// Mining images and their clean twins come from test/corpus and test/corpus/evasion. Benign images are made of Debian
// packages, one image a package, fetched by name when it runs; among them are the hard look-alikes: Tor, ProxyChains, a
// Monero node, rule sets and block lists. No list and no reputation has a say.
//
// It prints a table, one row a line: name, measured, goal, and "ok", or "short" where the goal is missed; rows for what
// went wrong say what was found. The exit status is 0 when everything could be judged and nothing is short, else 1.
package main
