package plugin

import (
	"slices"
	"strings"

	cliflags "github.com/docker/cli/cli/flags"
	"github.com/spf13/pflag"
)

// Name is the command's name below docker.
const Name = "safepull"

// StandaloneArgs turns the arguments of the program run by itself ("docker-safepull -H tcp://… alpine") into those
// that docker would pass ("-H tcp://… safepull alpine"): docker's global flags first, then the command's name.
// Arguments that already have the name stay as they are; an image of that name is reached by "image safepull".
func StandaloneArgs(args []string) []string {
	flags := pflag.NewFlagSet(Name, pflag.ContinueOnError)
	cliflags.NewClientOptions().InstallFlags(flags)
	n := globals(flags, args)
	rest := args[n:]
	if len(rest) > 0 && (rest[0] == Name || strings.HasPrefix(rest[0], "__complete")) {
		return args
	}
	return slices.Concat(args[:n], []string{Name}, rest)
}

// globals is how many of the arguments, from the first, are global flags and their values.
func globals(flags *pflag.FlagSet, args []string) int {
	for i := 0; i < len(args); {
		arg := args[i]
		var flag *pflag.Flag
		var value bool // The value is part of the same argument.
		switch {
		case strings.HasPrefix(arg, "--"):
			var name string
			name, _, value = strings.Cut(arg[2:], "=")
			flag = flags.Lookup(name)
		case len(arg) > 1 && arg[0] == '-':
			flag = flags.ShorthandLookup(arg[1:2])
			value = len(arg) > 2
		}
		if flag == nil {
			return i
		}
		if i++; !value && flag.NoOptDefVal == "" {
			i++
		}
		if i >= len(args) {
			return len(args)
		}
	}
	return len(args)
}
