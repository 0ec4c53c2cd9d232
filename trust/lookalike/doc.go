// Package lookalike finds the well-known name that an image reference imitates: a registry, a publisher's namespace or
// the name of an image. What is well known and who owns it stands in a file (Load; configs/lookalike/names.yaml as
// shipped); this package knows the ways of imitation:
//
//   - letters that look like others: "rnicrosoft", "1ibrary/alpine", hosts with "xn--" labels;
//   - slips of fingers: "ngnix", "grafnaa", by an edit distance for which neighbouring keys, swapped and doubled letters are
//     cheap, bounded by the length of the name;
//   - known names with something added: "azurenql", "docker123321", "tensorflow-gpu-latest", "docker.io.example.com";
//   - known names with other separators: "open_telemetry".
//
// A repository whose own name is a known one, under a namespace of its own, is what everybody does: acme/nginx resembles
// nothing. Nor does anything that stands in a namespace of a known owner.
//
// Everything is computed from the reference and the file: nothing is asked of anybody.
package lookalike
