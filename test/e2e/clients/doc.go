// Command clients asks a proxy for images with every client that people pull with, on every road to it, and prints what
// happened and what the user saw. The images are blocked, quarantined, undecided and allowed ones; each question is about
// an image that nobody has seen before. A stand-in for docker.io has them all and writes down who goes around the proxy.
//
// Standard output has a row for each question: name, measured, goal and "ok" or "short", separated by tabs. It exits with
// status 0 when everything could be measured. It needs root on Debian; nothing leaves the machine's loopback.
package main
