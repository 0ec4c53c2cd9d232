package evasion

import (
	"fmt"
	"strings"

	"github.com/safepull/safepull/test/imagetest"
)

// oneliners are programs in the configuration itself, which put the telling words together when they run.
func oneliners() []recipe {
	worker := imagetest.Binary("opt/app/worker", []byte("\x7fELF"))
	// torn is the command line in pieces of seven bytes between quotes, with this between them.
	torn := func(k *kit, quote, between string) string {
		var parts []string
		for rest := run + " " + k.line(); rest != ""; {
			n := min(7, len(rest))
			parts = append(parts, quote+rest[:n]+quote)
			rest = rest[n:]
		}
		return strings.Join(parts, between)
	}
	coded := func(k *kit, format string) string {
		var b strings.Builder
		for _, c := range []byte(run + " " + k.line()) {
			fmt.Fprintf(&b, format, c)
		}
		return b.String()
	}
	with := func(name string, entrypoint func(*kit) []string) recipe {
		return recipe{group: "a program in the configuration", name: name, make: func(k *kit) imagetest.Image {
			return k.image(entrypoint(k), worker)
		}}
	}
	return []recipe{
		with("python-plus", func(k *kit) []string {
			return []string{"python3", "-c", "import os\nos.system(" + torn(k, "'", " + ") + ")"}
		}),
		with("python-join", func(k *kit) []string {
			return []string{"python3", "-c", "import os; c = [" + torn(k, "'", ", ") + "]; os.system(''.join(c))"}
		}),
		with("python-beside", func(k *kit) []string {
			return []string{"sh", "-c", "exec python3 -c \"import os; os.system(" + torn(k, "'", " ") + ")\""}
		}),
		with("node", func(k *kit) []string {
			return []string{"node", "-e", "require('child_process').execSync(" + torn(k, "'", "+") + ")"}
		}),
		with("node-join", func(k *kit) []string {
			return []string{"node", "-e", "require('child_process').execSync([" + torn(k, "\"", ",") + "].join(''))"}
		}),
		with("perl", func(k *kit) []string { return []string{"perl", "-e", "system(" + torn(k, "'", " . ") + ")"} }),
		with("perl-join", func(k *kit) []string { return []string{"perl", "-e", "exec join('', " + torn(k, "'", ", ") + ")"} }),
		with("ruby", func(k *kit) []string { return []string{"ruby", "-e", "system(" + torn(k, "'", " + ") + ")"} }),
		with("php", func(k *kit) []string { return []string{"php", "-r", "shell_exec(" + torn(k, "'", ".") + ");"} }),
		with("here-string", func(k *kit) []string { return []string{"bash", "-c", "bash <<< " + torn(k, "\"", "")} }),
		with("escapes", func(k *kit) []string { return []string{"bash", "-c", "eval $'" + coded(k, `\x%02x`) + "'"} }),
		with("printf-octal", func(k *kit) []string { return []string{"sh", "-c", "$(printf '" + coded(k, `\%03o`) + "')"} }),
		with("printf-octal-pipe", func(k *kit) []string { return []string{"sh", "-c", "printf '" + coded(k, `\%03o`) + "' | sh"} }),
	}
}
