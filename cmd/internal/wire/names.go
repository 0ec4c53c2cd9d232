package wire

import (
	"bytes"
	"slices"

	"github.com/safepull/safepull/configs"
	"github.com/safepull/safepull/plugin/render"
	"github.com/safepull/safepull/trust/lookalike"
	"github.com/safepull/safepull/trust/ruleset"
)

func loadNames() (*lookalike.Names, error) {
	return lookalike.Load("as shipped", bytes.NewReader(configs.Names()))
}

// withNames adds the check that looks at names alone, in its place among those of content.
func (r *ruling) withNames(checks []render.Check) []render.Check {
	at := slices.IndexFunc(checks, func(c render.Check) bool { return c.Name > lookalike.Name })
	if at < 0 {
		at = len(checks)
	}
	return r.withPublishers(slices.Insert(checks, at, render.Check{
		Check: lookalike.Check, Name: lookalike.Name, Version: lookalike.Version, Group: r.loaded.policy.Group(lookalike.Name),
		Digest: r.names.Digest(), Data: r.names.Counts(), About: aboutNames(),
	}))
}

// aboutNames explains the check.
func aboutNames() ruleset.About {
	return ruleset.About{
		Sign: "names that imitate well-known ones",
		Means: "The registry, the namespace or the repository of the image looks like a name that people know and that belongs to somebody else: " +
			"letters that look the same (rnicrosoft, 1ibrary), a slip of the fingers (ngnix, grafnaa), a known name with something added (azurenql, " +
			"docker.io.example.com), other separators. It is strong where nobody comes by such a name by chance, and weak elsewhere.",
		Matters: "Mining images live on being taken for something else: the account azurenql had two million pulls. The name alone only warns; " +
			"\"docker safepull trust test IMAGE\" says whom it resembles, and an entry that allows the image ends the question.",
		LookAlikes: []string{
			"Repositories that are called as a well-known image, under a namespace of their own (acme/nginx): no sign.",
			"Names that say what is in the image (acme/redis-exporter, acme/python3): no sign.",
			"Namespaces of known owners, and whatever stands in them: no sign.",
			"Namespaces in a registry of your own: whom they name is your business; only letters that look the same count there.",
		},
	}
}
