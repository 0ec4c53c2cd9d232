package lookalike

import (
	"strings"
	"testing"

	"golang.org/x/net/idna"

	"github.com/safepull/safepull/trust"
)

// TestResembles tells by examples what is a resemblance and what is none. Those found are made up or stood in public
// reports.
func TestResembles(t *testing.T) {
	t.Parallel()
	names := shipped(t)
	const none = trust.Strength(-1)
	for image, want := range map[string]struct {
		strength   trust.Strength
		part, says string
	}{
		// Letters that look like others.
		"rnicrosoft/dotnet":                {trust.Strong, partNamespace, `"rnicrosoft" resembles "microsoft" of Microsoft (mcr.microsoft.com): it looks the same, with "rn" for "m"`},
		"micr0soft/dotnet":                 {trust.Strong, partNamespace, `with "0" for "o"`},
		"acme/a1pine":                      {trust.Strong, partRepository, `"alpine" of Docker Official Images (docker.io/library/alpine)`},
		"acme/alpin3":                      {trust.Strong, partRepository, `with "3" for "e"`},
		"vvordpress/php":                   {trust.Strong, partNamespace, `with "vv" for "w"`},
		"micr0softteam/x":                  {trust.Strong, partNamespace, "written with letters that look alike"},
		"1ibrary/alpine":                   {trust.Strong, partNamespace, `"library" of Docker Official Images`},
		"libary/alpine":                    {trust.Strong, partNamespace, `with "r" left out`},
		"registry.example.com/1ibrary/x":   {trust.Strong, partNamespace, `"library"`},
		"registry.example.com/team/ng1nx":  {trust.Strong, partRepository, `"nginx"`},
		"official-library/alpine":          {trust.Weak, partNamespace, `with "official" added`},
		"xn--dcker-5n1h.io/library/alpine": {none, "", ""}, // no letter that looks like an o
		"xn--dcker-jye.io/library/alpine":  {trust.Strong, partRegistry, `"docker.io"`},
		"ghcr.i0/acme/x":                   {trust.Strong, partRegistry, `"ghcr.io" of GitHub`},
		"quay.lo/acme/x":                   {trust.Strong, partRegistry, `"quay.io"`},
		// Slips of the fingers.
		"acme/ngnix":                   {trust.Weak, partRepository, `it looks mistyped, with "ni" for "in"`},
		"grafnaa/grafana":              {trust.Weak, partNamespace, `"grafana" of Grafana Labs`},
		"acme/ngnix-proxy":             {trust.Weak, partRepository, `"ngnix" looks mistyped`},
		"tensrflow/tensorflow":         {trust.Weak, partNamespace, `with "o" left out`},
		"bitnammi/redis":               {trust.Weak, partNamespace, `with "m" added`},
		"postgres1/postgres":           {trust.Weak, partNamespace, `with "1" added`},
		"docker.io/library/ngnix":      {trust.Weak, partRepository, `"nginx"`},
		"ghrc.io/acme/x":               {trust.Strong, partRegistry, `with "rc" for "cr"`},
		"dokcer.io/acme/x":             {trust.Strong, partRegistry, `"docker.io"`},
		"mcr.mircosoft.com/dotnet/sdk": {trust.Strong, partRegistry, `"mcr.microsoft.com" of Microsoft`},
		"bitnamy/redis":                {trust.Weak, partNamespace, `with "y" for "i"`},
		"acme/postgress":               {trust.Weak, partRepository, `"postgres"`},
		"acme/ubuntus":                 {none, "", ""}, // a plural
		"acme/kafka-connect":           {none, "", ""}, // a whole word less than cp-kafka-connect
		"datadoq/agent":                {trust.Strong, partNamespace, `with "q" for "g"`},
		// Something added.
		"alpine-official1/alpine":                {trust.Weak, partNamespace, `"alpine"`},
		"docker.io-mirror.com/library/x":         {trust.Strong, partRegistry, `"io-mirror.com" has that name in it`},
		"registry-docker.io/library/x":           {trust.Strong, partRegistry, `"registry-docker.io" has that name in it`},
		"123.dkr.ecr.us-east-1.arnazonaws.com/x": {trust.Strong, partRegistry, `"amazonaws.com" of a registry of many customers: it looks the same, with "rn" for "m"`},
		"acme.azurecr.i0/x":                      {trust.Strong, partRegistry, `with "0" for "o"`},
		"acme.azurcr.io/x":                       {trust.Strong, partRegistry, `"azurecr.io"`},
		"acme.azurecr.io.example.net/x":          {trust.Strong, partRegistry, `belongs to whoever has "example.net"`},
		"hub.d0cker.com/x/y":                     {trust.Strong, partRegistry, `"docker.com"`},
		"registry.elastic.io/x":                  {none, "", ""},
		"k9s.io/x":                               {none, "", ""},
		"git.lab.com/x":                          {none, "", ""},
		"europe-west1-docker.pkg.dev/x/y":        {none, "", ""}, // a customer's, below Google's
		"azurenql/dao":                           {trust.Weak, partNamespace, `"azure" of Microsoft`},
		"microsoft-azure-cli/cli":                {trust.Weak, partNamespace, `"microsoft"`},
		"acme/microsoft-azure-cli":               {trust.Weak, partRepository, "two names of the same owner"},
		"alpine2/alpine":                         {trust.Weak, partNamespace, `"alpine"`},
		"docker.io/library/alpine2":              {trust.Weak, partRepository, `with "2" added`},
		"alpineos/x":                             {trust.Weak, partNamespace, `with "os" added`},
		"docker123321/tomcat":                    {trust.Weak, partNamespace, `with "123321" added`},
		"acme/tensorflow-gpu-latest":             {trust.Weak, partRepository, `"tensorflow-gpu"`},
		"acme/nginx-official":                    {trust.Weak, partRepository, "it says that it is the real one"},
		"docker.io.example.com/library/x":        {trust.Strong, partRegistry, `belongs to whoever has "example.com"`},
		"ghcr-io.com/acme/x":                     {trust.Strong, partRegistry, `"ghcr-io.com" is made of that name`},
		"mcr-microsoft.com/dotnet/sdk":           {trust.Strong, partRegistry, "separators"},
		"quay.dev/acme/x":                        {trust.Strong, partRegistry, "another ending"},
		// Other separators.
		"ghcr.io/open_telemetry/collector": {trust.Weak, partNamespace, "separators"},
		"acme/kubeproxy":                   {trust.Weak, partRepository, `"kube-proxy"`},
		// The same name elsewhere is worth telling, and nothing else.
		"quay.io/microsoft/x": {trust.Context, partNamespace, "the same name"},
		// What is honest.
		"alpine": {none, "", ""},
		"docker.io/library/alpine:3@" + someDigest: {none, "", ""},
		"acme/nginx":                                 {none, "", ""},
		"acme/nginx-proxy":                           {none, "", ""},
		"acme/python3":                               {none, "", ""},
		"acme/java11":                                {none, "", ""},
		"crater/crater":                              {none, "", ""},
		"monicahq/monica":                            {none, "", ""},
		"acme/create":                                {none, "", ""},
		"acme/redis-exporter":                        {none, "", ""},
		"acme/aws-cli":                               {none, "", ""},
		"acme/nodes":                                 {none, "", ""},
		"acme/x":                                     {none, "", ""},
		"gakeaws/nginx":                              {none, "", ""},
		"grafana/ngnix":                              {none, "", ""}, // Grafana's own business
		"mcr.microsoft.com/ngnix":                    {none, "", ""},
		"registry.example.com/grafnaa/x":             {none, "", ""}, // its operator's own business
		"registry.example.com/azure-team/x":          {none, "", ""},
		"localhost/rnicrosoft/x":                     {none, "", ""},
		"registry:5000/rnicrosoft/x":                 {none, "", ""},
		"127.0.0.1:5000/docker.io/library/alpine":    {none, "", ""},
		"[::1]:5000/docker.io/library/alpine":        {none, "", ""},
		"docker.io:5000/library/alpine":              {none, "", ""},
		"acme.azurecr.io/docker.io/library/x":        {none, "", ""},
		"123456.dkr.ecr.eu-west-1.amazonaws.com/x":   {none, "", ""},
		"mirror.example.com/docker.io/library/redis": {none, "", ""},
		"registry.io/acme/x":                         {none, "", ""},
	} {
		t.Run(image, func(t *testing.T) {
			t.Parallel()
			found := names.Resembles(parse(t, image))
			if want.strength == none {
				if len(found) > 0 {
					t.Errorf("%+v", found)
				}
				return
			}
			if len(found) == 0 {
				t.Fatal("nothing found")
			}
			if got := found[0]; got.Strength != want.strength || got.Part != want.part || !strings.Contains(got.Why, want.says) {
				t.Errorf("%s of the %s: %s", got.Strength, got.Part, got.Why)
			}
		})
	}
}

const someDigest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// TestResembles_limits: what is longer than anything known is compared with nothing, and costs nothing.
func TestResembles_limits(t *testing.T) {
	t.Parallel()
	names := shipped(t)
	for _, repository := range []string{"", "/", strings.Repeat("a/", 200) + "ngnix", strings.Repeat("ngnix-", 40) + "x", strings.Repeat("a", 5000), "\xff\xfe/\x00"} {
		for _, host := range []string{"", "docker.io", strings.Repeat("docker.io.", 100), "xn--" + strings.Repeat("a", 300) + ".io", "xn--\xff.io", ".", ":", "[", "a.b:"} {
			for _, r := range names.Resembles(trust.Reference{Registry: host, Repository: repository}) {
				if len(r.Finding().Why) > 300 || len(r.Finding().Excerpt) > trust.ExcerptLimit {
					t.Errorf("%q %q: %+v", host, repository, r)
				}
			}
		}
	}
}

func FuzzResembles(f *testing.F) {
	names := shipped(f)
	for _, s := range []string{"ngnix", "docker.io/rnicrosoft/x", "xn--dcker-jye.io/library/alpine", "docker.io.example.com/a/b", "a-b_c.d/e--f", "[::1]:5/x", "ghcr.io/azure-azure-azure/azure-azure"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		host, repository, _ := strings.Cut(s, "/")
		ref := trust.Reference{Registry: host, Repository: repository}
		found := names.Resembles(ref)
		if len(found) > 2 {
			t.Errorf("%q: %+v", s, found)
		}
		for i, r := range names.Resembles(trust.Reference{Registry: host, Repository: repository, Tag: "x", Digest: someDigest}) {
			if r != found[i] {
				t.Errorf("%q: %+v with a tag, %+v without", s, r, found[i])
			}
			if r.Why == "" || r.Like == "" || r.Of == "" || r.Name == r.Like && r.Strength > trust.Context {
				t.Errorf("%q: %+v", s, r)
			}
			if g := r.Finding(); trust.Sanitise(g.Why, 300) != g.Why || trust.Sanitise(g.Excerpt, trust.ExcerptLimit) != g.Excerpt {
				t.Errorf("%q: not printable: %+v", s, g)
			}
		}
	})
}

// TestHosts: hosts are compared as they are seen, whatever script their letters are of; honest names of other languages
// imitate nobody.
func TestHosts(t *testing.T) {
	t.Parallel()
	names := shipped(t)
	for host, like := range map[string]string{
		"dосker.io":              "docker.io", // Cyrillic
		"d০cker.io":              "docker.io", // a Bengali nought
		"dọcker.io":              "docker.io", // with a dot below
		"doc\u200dker.io":        "docker.io", // with what is not seen
		"ԁᴏᴄᴋᴇʀ.io":              "docker.io", // small capitals
		"ghcr.іo":                "ghcr.io",   // in its ending
		"ցհϲr.io":                "ghcr.io",   // Armenian, Greek
		"ʠuay.io":                "quay.io",
		"registry.gitӏab.com":    "registry.gitlab.com",
		"mcr.mіcrosoft.com":      "mcr.microsoft.com",
		"nvcг.io":                "nvcr.io",
		"docкer.io.evil.example": "docker.io",
		"bücher.example":         "",
		"registry.münchen.de":    "",
		"пример.рф":              "",
		"例え.jp":                  "",
		"łódź.pl":                "",
	} {
		ascii, err := idna.Punycode.ToASCII(host)
		if err != nil {
			t.Fatal(err)
		}
		for _, port := range []string{"", ":443", ":5000"} {
			found := names.Resembles(trust.Reference{Registry: ascii + port, Repository: "library/alpine"})
			switch {
			case like == "" && len(found) > 0:
				t.Errorf("%s: %s", host, found[0].Why)
			case like != "" && (len(found) != 1 || found[0].Like != like || found[0].Part != partRegistry || found[0].Strength != trust.Strong):
				t.Errorf("%s (%s): %+v", host, ascii, found)
			}
		}
	}
}
