package plugin

import (
	"context"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/safepull/safepull/plugin/render"
)

func (a *app) versionCommand() *cobra.Command {
	return a.command("version", "Print which build of safepull this is", "", 0, a.version)
}

func (a *app) version(context.Context, []string) error {
	answer := struct {
		Schema int `json:"schema"`
		Version
		Go       string `json:"go"`
		Platform string `json:"platform"`
	}{render.Schema, a.deps.Version, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
	return a.answer(answer, func() error {
		out := a.cli.Out()
		fmt.Fprintf(out, "docker-safepull %s\n", answer.Version.Version)
		if answer.Commit != "" {
			fmt.Fprintf(out, "commit   %s\n", answer.Commit)
		}
		if answer.Built != "" {
			fmt.Fprintf(out, "built    %s\n", answer.Built)
		}
		_, err := fmt.Fprintf(out, "go       %s, %s\n", answer.Go, answer.Platform)
		return err
	})
}
