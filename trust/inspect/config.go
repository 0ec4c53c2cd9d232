package inspect

import (
	"encoding/json"
	"fmt"
	"regexp"
	"sort"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
)

// Config is what an image's configuration says about running it.
// Source: image specification 1.1, config.md, with Docker's additions (Healthcheck, OnBuild, Shell).
type Config struct {
	OS           string
	Architecture string
	Variant      string
	Entrypoint   []string
	Cmd          []string
	Env          []string
	WorkingDir   string
	Healthcheck  []string
	OnBuild      []string
	Shell        []string
	Labels       map[string]string
	History      []string
	DiffIDs      []digest.Digest
}

type configDocument struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant"`
	Config       struct {
		Entrypoint  []string          `json:"Entrypoint"`
		Cmd         []string          `json:"Cmd"`
		Env         []string          `json:"Env"`
		WorkingDir  string            `json:"WorkingDir"`
		OnBuild     []string          `json:"OnBuild"`
		Shell       []string          `json:"Shell"`
		Labels      map[string]string `json:"Labels"`
		Healthcheck struct {
			Test []string `json:"Test"`
		} `json:"Healthcheck"`
	} `json:"config"`
	RootFS struct {
		Type    string          `json:"type"`
		DiffIDs []digest.Digest `json:"diff_ids"`
	} `json:"rootfs"`
	History []struct {
		CreatedBy string `json:"created_by"`
		Comment   string `json:"comment"`
	} `json:"history"`
}

// ParseConfig reads an image configuration. Errors wrap trust.ErrMalformed, trust.ErrUnsupported or trust.ErrLimit.
func ParseConfig(body []byte) (Config, error) {
	if len(body) > MaxConfig {
		return Config{}, fmt.Errorf("image config has %d bytes, more than %d: %w", len(body), MaxConfig, trust.ErrLimit)
	}
	var doc configDocument
	if _, err := strictJSON(body, configGrammar, &doc); err != nil {
		return Config{}, fmt.Errorf("image config: %w", err)
	}
	if doc.RootFS.Type != "" && doc.RootFS.Type != "layers" {
		return Config{}, fmt.Errorf("image config has a root file system of type %q: %w", trust.Sanitise(doc.RootFS.Type, 80), trust.ErrUnsupported)
	}
	c := Config{
		OS: doc.OS, Architecture: doc.Architecture, Variant: doc.Variant,
		Entrypoint: doc.Config.Entrypoint, Cmd: doc.Config.Cmd, Env: doc.Config.Env,
		WorkingDir: doc.Config.WorkingDir, Healthcheck: doc.Config.Healthcheck.Test, OnBuild: doc.Config.OnBuild,
		Shell: doc.Config.Shell, Labels: doc.Config.Labels, DiffIDs: doc.RootFS.DiffIDs,
	}
	for _, h := range doc.History {
		c.History = append(c.History, h.CreatedBy+commentSuffix(h.Comment))
	}
	return c, nil
}

// ListsLayers reports whether engines would find the layers of a root file system listed in a document, whatever it is
// meant to be. It reads as tolerantly as they do.
func ListsLayers(body []byte) bool {
	var doc struct {
		RootFS struct {
			DiffIDs []json.RawMessage `json:"diff_ids"`
		} `json:"rootfs"`
	}
	return json.Unmarshal(body, &doc) == nil && len(doc.RootFS.DiffIDs) > 0
}

func commentSuffix(comment string) string {
	if comment == "" {
		return ""
	}
	return " # " + comment
}

// Platform is os/architecture[/variant], as engines spell it; empty when the configuration names neither.
func (c Config) Platform() string {
	if c.OS == "" && c.Architecture == "" {
		return ""
	}
	s := c.OS + "/" + c.Architecture
	if c.Variant != "" {
		s += "/" + c.Variant
	}
	return s
}

// Text is one string of a configuration, named as findings name it.
type Text struct {
	// Path is "config:command", "config:env", "config:history[2]" and the like.
	Path string
	Kind trust.Kind
	Body string
}

// Texts are the strings of the configuration that may show signs of mining, in a fixed order. Entrypoint and command
// form one command line, because an image may split one between them. Labels are text, not something that runs.
func (c Config) Texts() []Text {
	var texts []Text
	add := func(path string, kind trust.Kind, body string) {
		if strings.TrimSpace(body) != "" {
			texts = append(texts, Text{Path: path, Kind: kind, Body: body})
		}
	}
	add("config:command", trust.KindConfig, c.expanded(CommandLine(append(append([]string{}, c.Entrypoint...), c.Cmd...))))
	add("config:env", trust.KindConfig, strings.Join(c.Env, "\n"))
	add("config:healthcheck", trust.KindConfig, c.expanded(healthcheckLine(c.Healthcheck)))
	add("config:onbuild", trust.KindConfig, strings.Join(c.OnBuild, "\n"))
	add("config:shell", trust.KindConfig, CommandLine(c.Shell))
	for i, h := range c.History {
		add(fmt.Sprintf("config:history[%d]", i), trust.KindConfig, h)
	}
	add("config:labels", trust.KindText, joinMap(c.Labels))
	return texts
}

// maxExpanded bounds what a command grows to with its variables, in bytes: a kernel takes no longer command either.
const maxExpanded = 2 << 20

var variable = regexp.MustCompile(`\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)(?::?[-=?+][^}]*)?\})`)

// expanded is a command, followed by the command as a shell would run it with the image's environment where that says
// more: pool and account may stand in one place and the options in the other.
func (c Config) expanded(command string) string {
	if !strings.Contains(command, "$") {
		return command
	}
	values := map[string]string{}
	for _, e := range c.Env {
		if name, value, ok := strings.Cut(e, "="); ok && value != "" {
			values[name] = value
		}
	}
	size := len(command)
	full := variable.ReplaceAllStringFunc(command, func(use string) string {
		m := variable.FindStringSubmatch(use)
		value, ok := values[m[1]+m[2]]
		if size += len(value); !ok || size > maxExpanded {
			return use
		}
		return value
	})
	if full == command {
		return command
	}
	return command + "\n" + full
}

// CommandLine is an argument vector as one line of text, each argument that has white space or a quote in it quoted
// for a POSIX shell. A shell's script ("sh -c SCRIPT") stands as it is, so that it reads as the shell will read it.
func CommandLine(argv []string) string {
	if script, ok := ShellScript(argv); ok {
		return script
	}
	words := make([]string, len(argv))
	for i, a := range argv {
		if a == "" || strings.ContainsAny(a, " \t\r\n'\"\\$`;&|<>()") {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		words[i] = a
	}
	return strings.Join(words, " ")
}

// ShellScript returns the script of an argument vector of the form SHELL [OPTION…] -c SCRIPT [ARG…].
func ShellScript(argv []string) (string, bool) {
	if len(argv) < 3 || !strings.HasSuffix(argv[0], "sh") {
		return "", false
	}
	for i := 1; i+1 < len(argv); i++ {
		switch option := argv[i]; {
		case option == "-" || option == "--" || !strings.HasPrefix(option, "-") && !strings.HasPrefix(option, "+"):
			return "", false
		case strings.HasPrefix(option, "--"):
		case option[0] == '-' && strings.Contains(option, "c"):
			return strings.Join(argv[i+1:], " "), true
		case strings.HasSuffix(strings.ToLower(option), "o") && !strings.HasPrefix(argv[i+1], "-"):
			i++ // "-o pipefail" takes the name of what it sets
		}
	}
	return "", false
}

// healthcheckLine is the command of a health check: ["CMD", argv…] or ["CMD-SHELL", script].
func healthcheckLine(test []string) string {
	if len(test) == 0 {
		return ""
	}
	switch test[0] {
	case "CMD-SHELL":
		return strings.Join(test[1:], " ")
	case "CMD", "NONE":
		return CommandLine(test[1:])
	}
	return CommandLine(test)
}

func joinMap(m map[string]string) string {
	lines := make([]string, 0, len(m))
	for k, v := range m {
		lines = append(lines, k+"="+v)
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

// AnnotationText is the manifest's annotations as one text.
func (m Manifest) AnnotationText() Text {
	return Text{Path: "manifest:annotations", Kind: trust.KindText, Body: joinMap(m.Annotations)}
}
