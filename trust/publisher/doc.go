// Package publisher reads signs out of what registries tell of the accounts and repositories that images come from, and
// out of how a tag's image changed. It is pure: what was told is given to it as records, which it also knows how to bring
// up to date, so that a change is a sign.
//
// Popularity and age buy nothing: no fact makes an image less suspicious than it would be without it. Nothing here is
// proof; a person can check each sign at the registry.
//
// Read next: trust/publisher/ask, which asks registries and remembers; a folder beside it for each registry that has facts
// to give.
package publisher
