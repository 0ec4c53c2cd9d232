package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/safepull/safepull/cmd/internal/wire"
	"github.com/safepull/safepull/proxy/config"
)

func authority() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ca",
		Short: "Make the authority under which the proxy answers in registries' names",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(authorityInit())
	return cmd
}

func authorityInit() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "init [--config FILE] [--dir FOLDER] [HOST…]",
		Short: "Make ca.crt and ca.key, good for one year and for these hosts only",
		Long: "Makes an authority that can sign for the given hosts and for no other, and writes ca.crt and ca.key. Without\n" +
			"hosts, those of the configuration: tls.names, and every upstream's transparentHosts. Engines that are to take the\n" +
			"proxy for a registry must trust ca.crt; whoever has ca.key can stand in for these hosts before them.",
	}
	file := cmd.Flags().String("config", os.Getenv("SAFEPULL_CONFIG"), "configuration `file` (or SAFEPULL_CONFIG)")
	dir := cmd.Flags().String("dir", ".", "`folder` to write to")
	cmd.RunE = func(cmd *cobra.Command, hosts []string) error {
		if len(hosts) == 0 {
			cfg, err := config.LoadNames(*file, os.Environ())
			if err != nil {
				return err
			}
			if hosts = cfg.SignedHosts(); len(hosts) == 0 {
				return errors.New("no hosts: name some, or configure tls.names or an upstream's transparentHosts")
			}
		}
		slices.Sort(hosts)
		hosts = slices.Compact(hosts)
		cert, key := filepath.Join(*dir, "ca.crt"), filepath.Join(*dir, "ca.key")
		if err := wire.MakeAuthority(cert, key, hosts); err != nil {
			return err
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "wrote %s and %s, for %s\n", cert, key, strings.Join(hosts, ", "))
		return err
	}
	return cmd
}
