package plugin

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/plugin/render"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/campaign"
	"github.com/safepull/safepull/trust/lookalike"
	"github.com/safepull/safepull/trust/namespace"
	"github.com/safepull/safepull/trust/namespace/signed"
	"github.com/safepull/safepull/trust/policy"
)

// Deps is what the commands need from outside. Every function is called when a command first needs its result and
// not before, so that help and metadata cost nothing; a function that is nil makes the commands that need it fail
// with a sentence. The functions may rely on the docker CLI being initialised.
type Deps struct {
	// Version is printed by the version command and sent to nobody.
	Version Version
	// Judge assembles the judgement: rules, policy, trust lists and memory. The policy is "default", "strict", "monitor" or
	// a file; empty means the one that is set up.
	Judge func(ctx context.Context, policy string) (trust.Judge, error)
	// Policy is a policy, named as for Judge.
	Policy func(ctx context.Context, name string) (*policy.Policy, error)
	// Source reads the reference's registry with the user's own credentials.
	Source func(context.Context, trust.Reference) (trust.Source, error)
	// Proxy reads the reference's repository through the safepull-proxy at the URL, which may hold a login.
	Proxy func(ctx context.Context, at *url.URL, ref trust.Reference) (Proxied, error)
	// Engine is the engine that the docker CLI's context points at.
	Engine func(context.Context) (Engine, error)
	// History is what was decided on this machine, or in the memory file of a proxy.
	History func(ctx context.Context, file string) (History, error)
	// Campaigns is what blocked images have, on this machine or in the memory file of a proxy.
	Campaigns func(ctx context.Context, file string) (Campaigns, error)
	// Verdicts reads what was decided on this machine.
	Verdicts func(context.Context) (Verdicts, error)
	// Trust are the trust lists in force.
	Trust func(context.Context) (TrustLists, error)
	// TrustFile is the user's own trust list, as a file that is edited.
	TrustFile func(context.Context) (TrustFile, error)
	// Organization is the user's organization, as far as trust lists go.
	Organization func(context.Context) (Organization, error)
	// UseTrustLists names files that count as lists of the command line. It is called before the others.
	UseTrustLists func(paths []string)
	// UseSignatures names who finds out who signed an image, where the judge cannot: a proxy, by its address. It is called
	// before Judge.
	UseSignatures func(address string, ask func(context.Context, trust.Reference, trust.Signer) (wrong string, err error))
	// Names finds whom a reference resembles.
	Names func(context.Context) (Names, error)
	// Reputation asks registries who publishes an image, and remembers on this machine; the memory file of a proxy is only read.
	Reputation func(ctx context.Context, file string) (Reputation, error)
	// Rules are the indicators in force.
	Rules func(context.Context) (Rules, error)
	// Lint checks a rule file, or the rule files of a folder. It needs no rules in force.
	Lint func(ctx context.Context, path string) (render.Linted, error)
	// Close releases what the functions above opened. It is called once, after the command, also when it failed.
	Close func() error
}

// Proxied is a repository as a safepull-proxy serves it to this user.
type Proxied struct {
	Source trust.Source
	// Transport is for other requests to the proxy: it hands the user's own right to the repository over to the proxy, and
	// to no other host.
	Transport http.RoundTripper
}

// Version says which build this is.
type Version struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Built   string `json:"built,omitempty"`
}

// Engine is a docker engine as far as this plugin uses it. In its methods ref is the normalised reference that the
// user asked for (its Digest is the user's own, empty when only a tag was given), top is what the reference resolved
// to, and manifest is the platform's manifest that was judged; the two are the same for an image without an index.
// No error may leave anything of the image behind in the engine, in a temporary folder or on a socket.
type Engine interface {
	// Platform is the platform whose child the engine would choose from an index.
	Platform(context.Context) (ocispec.Platform, error)
	// Has reports whether the engine already has exactly this manifest's image, complete and under ref, so that a
	// pull would say "up to date". It reads at most the manifest from src.
	Has(ctx context.Context, ref trust.Reference, top, manifest ocispec.Descriptor, src trust.Source) (bool, error)
	// Handover gives the engine exactly the judged manifest and its blobs, and tags it as ref says. The index, the
	// manifest and the blobs are read from src, which verifies them and reports progress; nothing else of the index
	// may arrive.
	Handover(ctx context.Context, ref trust.Reference, top, manifest ocispec.Descriptor, src trust.Source) error
	// Save streams the engine's own image as the tar of "docker save". The name is the user's, an ID works too.
	Save(ctx context.Context, name string) (io.ReadCloser, error)
}

// Verdicts is a memory of verdicts.
type Verdicts interface {
	// VerdictByID finds one verdict; false when it is not there.
	VerdictByID(ctx context.Context, id string) (trust.Verdict, bool, error)
	// Verdicts lists those of a repository ("docker.io/library/alpine"), newest first.
	Verdicts(ctx context.Context, name string, limit int) ([]trust.Verdict, error)
}

// History is a memory of verdicts that can be gone through.
type History interface {
	// Judged calls do with every verdict since a time, the newest first, until it returns an error, which is returned. Of one
	// that cannot be read, do gets the ID alone, and why.
	Judged(ctx context.Context, since time.Time, do func(v trust.Verdict, unreadable error) error) error
}

// Campaigns are what blocked images have, and who else has it.
type Campaigns interface {
	// Campaigns are the edges of blocked images, the newest first.
	Campaigns(context.Context) ([]campaign.Edge, error)
	// Shared are the edges of all images with one of the values.
	Shared(ctx context.Context, wanted []campaign.Edge) ([]campaign.Edge, error)
}

// Names are known names.
type Names interface {
	// Resembles is whom a reference resembles, at most once for each part of it.
	Resembles(trust.Reference) []lookalike.Resemblance
}

// Rules are the indicators in force, with their data.
type Rules interface {
	// Checks are all of them, in order of name.
	Checks() []render.Check
	// Ruleset is the digest of all their data.
	Ruleset() digest.Digest
	// Limits are those of the inspection; see render.CheckInfo.
	Limits() map[string]int64
	// Test asks all of them about a file, or about the files of a folder.
	Test(ctx context.Context, path string) (render.Tested, error)
}

// TrustLists are all trust lists in force.
type TrustLists interface {
	// Entries are all entries of all lists, in order of list and line.
	Entries() []trust.Entry
	// Match says what the lists say about a reference.
	Match(trust.Reference, time.Time) trust.Standing
	// Lint is what is questionable about the entries at a time.
	Lint(time.Time) []namespace.Problem
}

// TrustFile is the user's own trust list. What it does to the file, TrustLists in memory do not see.
type TrustFile interface {
	// Name is the path of the file.
	Name() string
	// Text is the file as it is; nothing when there is none.
	Text() ([]byte, error)
	// Import adds entries, or updates those with the same patterns: all of them, or none.
	Import([]trust.Entry) ([]namespace.Change, error)
	// Remove takes out the entries with exactly this pattern.
	Remove(pattern string) ([]namespace.Change, error)
	// History is what was edited, newest first.
	History() ([]namespace.Edit, error)
}

// Organization is where signed trust lists come from. At is https://HOST[/PATH] or oci://REGISTRY/REPOSITORY:TAG.
type Organization interface {
	// Enrol pins a public key and takes the first list.
	Enrol(ctx context.Context, at, key string) (signed.Statement, error)
	// Refresh takes a newer list. What is refused leaves the last good one in its place.
	Refresh(context.Context) (signed.Statement, error)
	// Status is the last good list. Without an enrolment its error wraps fs.ErrNotExist.
	Status() (signed.Enrolment, signed.Statement, error)
	// Leave ends the enrolment.
	Leave() error
	// Fetch reads a signed list and believes nothing of it.
	Fetch(ctx context.Context, at string) ([]byte, error)
}
