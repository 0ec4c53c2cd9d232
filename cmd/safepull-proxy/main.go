// Command safepull-proxy is a registry pull-through proxy that judges images before it serves them.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/safepull/safepull/cmd/internal/bucket"
	"github.com/safepull/safepull/cmd/internal/wire"
	"github.com/safepull/safepull/configs"
	"github.com/safepull/safepull/proxy"
	"github.com/safepull/safepull/proxy/config"
	"github.com/safepull/safepull/proxy/identity"
)

// version is set by the linker ("-X main.version=v1.2.3"); when empty, the toolchain's record counts.
var version string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := root().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "safepull-proxy:", err)
		os.Exit(1)
	}
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "safepull-proxy",
		Short:         "A registry pull-through proxy that judges images before it serves them",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	cmd.AddCommand(serve(), configuration(), authority(), enrol(), tokenCommand(), versionCommand())
	return cmd
}

func serve() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve [--config FILE]",
		Short: "Serve until SIGTERM; without a file: Docker Hub on 127.0.0.1:5000",
		Args:  cobra.NoArgs,
	}
	file := cmd.Flags().String("config", os.Getenv("SAFEPULL_CONFIG"), "configuration `file` (or SAFEPULL_CONFIG)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := config.Load(*file, os.Environ())
		if err != nil {
			return err
		}
		log, err := proxy.NewLogger(os.Stderr, cfg.Log.Level, cfg.Log.Format)
		if err != nil {
			return err
		}
		return wire.Proxy(cmd.Context(), cfg, bucket.Open, signatures, log)
	}
	return cmd
}

func enrol() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "enrol [--config FILE] [--ca FILE] ADDRESS",
		Short: "Print a hosts.toml for engines, with the enrolment secret, that knows the proxy at ADDRESS and nothing else",
		Long: `Print a hosts.toml for Docker Engine 28 or newer and for containerd. Engines that use it read every registry through
the proxy at ADDRESS (as in https://proxy.example.com:5000) and cannot fall back to another host. The file holds the first
secret of enrolment.secretFile: keep it as readable as the engine needs.`,
		Args: cobra.ExactArgs(1),
	}
	file := cmd.Flags().String("config", os.Getenv("SAFEPULL_CONFIG"), "configuration `file` (or SAFEPULL_CONFIG)")
	ca := cmd.Flags().String("ca", "", "`file` on the engine's machine with the certificate that signed the proxy's")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := config.Load(*file, os.Environ())
		if err != nil {
			return err
		}
		text, err := wire.HostsTOML(cfg, args[0], *ca)
		if err != nil {
			return err
		}
		_, err = fmt.Fprint(cmd.OutOrStdout(), text)
		return err
	}
	return cmd
}

func configuration() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check a configuration, or print the default one",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "verify [FILE]",
		Short: "Check FILE (or SAFEPULL_CONFIG, or the defaults), the environment and every file they name",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file := os.Getenv("SAFEPULL_CONFIG")
			if len(args) == 1 {
				file = args[0]
			}
			cfg, err := config.Load(file, os.Environ())
			if err != nil {
				return err
			}
			if err := wire.Verify(cfg, signatures); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "the configuration is good: %s on %s, state in %s\n", upstreams(cfg), cfg.Listen, cfg.StateDir)
			return err
		},
	}, &cobra.Command{
		Use:   "print-default",
		Short: "Print every key with its default and what it means",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(configs.DefaultProxy())
			return err
		},
	})
	return cmd
}

func tokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make tokens with which callers log in at the proxy",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "new NAME",
		Short: "Print a token for NAME, and the line for the file that door.tokens names; the token is kept nowhere",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			token, line, err := identity.NewToken(args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "token: %s\nline:  %s\n", token, line)
			return err
		},
	})
	return cmd
}

func upstreams(cfg config.Config) string {
	s := cfg.Upstreams[0].Host
	if more := len(cfg.Upstreams) - 1; more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "safepull-proxy %s %s\n", buildVersion(version), runtime.Version())
			return err
		},
	}
}

// buildVersion is what the linker was told, else what the toolchain recorded, as in a "go install" of a release.
func buildVersion(linked string) string {
	if linked != "" {
		return linked
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}
