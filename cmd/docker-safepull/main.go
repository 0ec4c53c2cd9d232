// Command docker-safepull is the Docker CLI plugin behind "docker safepull". It also runs by itself.
package main

import (
	"os"
	"runtime/debug"

	"github.com/docker/cli/cli-plugins/metadata"
	dockerplugin "github.com/docker/cli/cli-plugins/plugin"
	"github.com/docker/cli/cli/command"
	"github.com/spf13/cobra"

	"github.com/safepull/safepull/cmd/internal/wire"
	"github.com/safepull/safepull/plugin"
)

// version, commit and built are set by the linker ("-X main.version=v1.2.3"); what is empty is asked of the build.
var version, commit, built string

func main() {
	if dockerplugin.RunningStandalone() {
		os.Args = append(os.Args[:1:1], plugin.StandaloneArgs(os.Args[1:])...)
	}
	v := buildVersion()
	dockerplugin.Run(
		func(dockerCLI command.Cli) *cobra.Command {
			return plugin.NewCommand(dockerCLI, wire.Plugin(dockerCLI, v))
		},
		metadata.Metadata{
			SchemaVersion:    "0.1.0",
			Vendor:           "safepull",
			Version:          v.Version,
			ShortDescription: "Pull an image only after it was judged safe",
			URL:              "https://github.com/safepull/safepull",
		},
	)
}

// buildVersion is what the linker was told, completed by what the toolchain recorded.
func buildVersion() plugin.Version {
	v := plugin.Version{Version: version, Commit: commit, Built: built}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision" && v.Commit == "":
				v.Commit = s.Value
			case s.Key == "vcs.time" && v.Built == "":
				v.Built = s.Value
			}
		}
		if v.Version == "" && info.Main.Version != "(devel)" {
			v.Version = info.Main.Version
		}
	}
	if v.Version == "" {
		v.Version = "devel"
	}
	return v
}
