package lookalike

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/opencontainers/go-digest"
	"go.yaml.in/yaml/v3"

	"github.com/safepull/safepull/trust"
)

// Limits on a file of names: what a comparison with every name costs, and memory.
const (
	maxFile  = 1 << 20
	maxNames = 20_000
	// maxName bounds one name, and what is compared with names: the tables of a comparison have this size.
	maxName = 63
	// maxText bounds what is shown of an owner.
	maxText = 80
)

// document is the file as it stands.
type document struct {
	Version    int        `yaml:"version"`
	Registries []registry `yaml:"registries"`
	// Tenants are hosts below which customers have names of their own.
	Tenants []string `yaml:"tenants"`
	// Official are the names of official images, OfficialAt the namespaces where they stand.
	Official   []string `yaml:"official"`
	OfficialAt []string `yaml:"officialAt"`
	Owners     []owner  `yaml:"owners"`
	// Ordinary are known names that are everyday words.
	Ordinary []string `yaml:"ordinary"`
	// Honest are names that stand near known ones and imitate nobody.
	Honest    []string `yaml:"honest"`
	Claims    []string `yaml:"claims"`
	Pretences []string `yaml:"pretences"`
	Ends      []string `yaml:"ends"`
}

type registry struct {
	Host string `yaml:"host"`
	Of   string `yaml:"of"`
	// Shared is true where anybody can register a namespace.
	Shared bool `yaml:"shared"`
}

type owner struct {
	Of           string   `yaml:"of"`
	Brands       []string `yaml:"brands"`
	Projects     []string `yaml:"projects"`
	Repositories []string `yaml:"repositories"`
	At           []string `yaml:"at"`
}

// Load reads a file of names. The name stands in errors. What is not understood is an error.
func Load(name string, r io.Reader) (*Names, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read names %s: %w", name, err)
	}
	if len(body) > maxFile {
		return nil, fmt.Errorf("names %s: more than %d bytes: %w", name, maxFile, trust.ErrLimit)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(body))
	decoder.KnownFields(true)
	var doc document
	if err := decoder.Decode(&doc); err != nil {
		return nil, fmt.Errorf("names %s: %w", name, err)
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("names %s: more than one YAML document: keep the first and remove the rest", name)
	}
	if err := doc.validate(); err != nil {
		return nil, fmt.Errorf("names %s: %w", name, err)
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("digest names %s: %w", name, err)
	}
	return newNames(doc, digest.FromBytes(append(text, fmt.Sprint("\n", Version)...))), nil
}

var (
	namePattern = regexp.MustCompile(`^[a-z0-9]+([._-]+[a-z0-9]+)*$`)
	hostPattern = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)+$`)
	atPattern   = regexp.MustCompile(`^[a-z0-9.-]+((/[a-z0-9]+([._-]+[a-z0-9]+)*)*/[a-z0-9][a-z0-9._-]*\*?)?$`)
)

func (d document) validate() error {
	if d.Version != 1 {
		return fmt.Errorf("version is %d: this safepull reads version 1", d.Version)
	}
	hosts := map[string]bool{}
	for _, r := range d.Registries {
		if !hostPattern.MatchString(r.Host) || r.Of == "" || len(r.Of) > maxText || hosts[r.Host] {
			return fmt.Errorf("registries: %q must be a host that stands there once, with its owner in \"of\"", r.Host)
		}
		hosts[r.Host] = true
	}
	for _, t := range d.Tenants {
		if !hostPattern.MatchString(t) {
			return fmt.Errorf("tenants: %q must be a host", t)
		}
	}
	all := len(d.Registries) + len(d.Tenants)
	for field, names := range map[string][]string{
		"official": d.Official, "ordinary": d.Ordinary, "honest": d.Honest, "claims": d.Claims, "pretences": d.Pretences, "ends": d.Ends,
	} {
		all += len(names)
		if err := checkNames(field, names); err != nil {
			return err
		}
	}
	if err := checkPlaces("officialAt", d.OfficialAt, hosts); err != nil {
		return err
	}
	n, err := d.validateOwners(hosts)
	if err == nil && all+n > maxNames {
		return fmt.Errorf("more than %d names: %w", maxNames, trust.ErrLimit)
	}
	return err
}

func (d document) validateOwners(hosts map[string]bool) (n int, err error) {
	of, brand := map[string]bool{}, map[string]string{}
	for _, o := range d.Owners {
		switch {
		case o.Of == "" || len(o.Of) > maxText || of[o.Of]:
			return 0, fmt.Errorf("owners: %q must be a name of at most %d bytes that stands there once", o.Of, maxText)
		case len(o.At) == 0:
			return 0, fmt.Errorf("owners: %s: \"at\" is missing: say where the owner publishes", o.Of)
		}
		of[o.Of] = true
		for _, names := range [][]string{o.Brands, o.Projects, o.Repositories} {
			n += len(names)
			if err := checkNames(o.Of, names); err != nil {
				return 0, err
			}
		}
		for _, b := range append(o.Brands[:len(o.Brands):len(o.Brands)], o.Projects...) {
			if other, twice := brand[b]; twice {
				return 0, fmt.Errorf("owners: %q belongs to %s and to %s: a name has one owner", b, other, o.Of)
			}
			brand[b] = o.Of
		}
		if err := checkPlaces(o.Of, o.At, hosts); err != nil {
			return 0, err
		}
		n += len(o.At)
	}
	return n, nil
}

func checkNames(field string, names []string) error {
	seen := map[string]bool{}
	for _, n := range names {
		switch {
		case len(n) > maxName || !namePattern.MatchString(n):
			return fmt.Errorf("%s: %q must be a name of a-z, 0-9 and single separators, at most %d bytes", field, n, maxName)
		case seen[n]:
			return fmt.Errorf("%s: %q stands there twice: remove one", field, n)
		}
		seen[n] = true
	}
	return nil
}

// checkPlaces refuses a place that no reference could be in: its registry must be one of those listed.
func checkPlaces(field string, places []string, hosts map[string]bool) error {
	for _, p := range places {
		host, _, _ := strings.Cut(p, "/")
		if !atPattern.MatchString(p) || !hosts[host] {
			return fmt.Errorf("%s: %q must be one of the registries and a namespace, with * only at its end", field, p)
		}
	}
	return nil
}
