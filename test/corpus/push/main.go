// Command push makes the sample images of test/corpus and sends them to a registry, or writes them into OCI layouts.
// The demo and the end-to-end tests use it. It prints one line for each image: its reference in the registry, its
// digest, and whether it mines.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/safepull/safepull/test/corpus"
	"github.com/safepull/safepull/test/imagetest"
)

func main() {
	registry := flag.String("registry", "", "host:port of a plain http registry on this machine")
	layouts := flag.String("layouts", "", "folder in which every image becomes an OCI layout")
	seed := flag.Uint64("seed", corpus.Seed, "what the samples are made from")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *registry, *layouts, *seed); err != nil {
		fmt.Fprintln(os.Stderr, "push:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, registry, layouts string, seed uint64) error {
	if (registry == "") == (layouts == "") {
		return fmt.Errorf("say where to: -registry HOST:PORT or -layouts FOLDER")
	}
	mixed, clean := corpus.MultiArch(seed)
	for _, s := range append(corpus.Generate(seed), mixed, clean) {
		name := s.Repository + ":" + s.Tag
		var err error
		if layouts != "" {
			name = filepath.Join(layouts, strings.ReplaceAll(s.Repository, "/", "_"))
			err = imagetest.WriteLayout(name, s.Tag, s.Image)
		} else {
			name = registry + "/" + name
			err = imagetest.Pusher{URL: "http://" + registry}.Push(ctx, s.Repository, s.Tag, s.Image)
		}
		if err != nil {
			return err
		}
		kind := "clean"
		if s.Mining {
			kind = "mining"
		}
		fmt.Println(name, s.Image.Root.Digest, kind)
	}
	return nil
}
