// Package trust holds the words in which safepull judges container images: reference, finding, evidence, verdict,
// source and judge. It does no I/O and imports nothing of the project, so that every other package can speak it.
//
// Read next: trust/judge, which asks every question about an image once; trust/policy, which turns the answers into
// a verdict; trust/scan and trust/indicator, which look for signs of mining in a layer.
package trust
