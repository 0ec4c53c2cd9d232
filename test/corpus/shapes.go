package corpus

import (
	"embed"
	"fmt"
	"strings"
	"text/template"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/safepull/safepull/test/imagetest"
)

//go:embed shapes
var files embed.FS

// fill reads a file of shapes and puts p into its blanks. With a "?" in its name it takes the mining or the clean one.
func (p part) fill(name string) string {
	kind := "clean"
	if p.Mining {
		kind = "mining"
	}
	name = strings.Replace(name, "?", kind, 1)
	t, err := template.ParseFS(files, "shapes/"+name)
	var b strings.Builder
	if err == nil {
		err = t.Option("missingkey=error").Execute(&b, p)
	}
	if err != nil {
		// The files are part of the program: only its authors can see this.
		panic(fmt.Errorf("shape %s: %w", name, err))
	}
	return b.String()
}

// either is mining in the sample and clean in its twin.
func either[T any](p part, mining, clean T) T {
	if p.Mining {
		return mining
	}
	return clean
}

func shapes() []shape {
	return []shape{
		{
			name: "azure-cli", tag: "2.61", base: debian, app: cli,
			about: "its Python entrypoint would fetch a miner and run it behind ProxyChains, into a public pool and a wallet",
			clean: "its Python entrypoint would fetch a command line tool and run it",
		},
		{
			name: "azure-functions", tag: "4", base: debian, app: functions,
			about: "it would start Tor, fetch a miner through it under another name, and mine through it",
			clean: "it would start Tor to see whether a news site's readers can reach it",
		},
		{
			name: "azcopy", tag: "10", base: alpine, app: azcopy,
			about: "its shell entrypoint would fetch a miner when it starts and write the miner's configuration",
			clean: "its shell entrypoint would fetch a copy tool when it starts and write the tool's configuration",
		},
		{
			name: "azure-storage", tag: "3.29", base: debian, app: storage,
			about: "pool and wallet stand in its command and environment, the program has an innocent name",
			clean: "a storage emulator with a connection pool in its command and environment",
		},
		{
			name: "azure-iot-edge", tag: "1.4", base: alpine, app: iot,
			about: "it would mine into its owner's own pool, which has neither a name nor a wallet",
			clean: "it would connect to a message broker by its address",
		},
		{
			name: "azure-devops-agent", tag: "3", base: debian, app: devops,
			about: "it would look at the processor, choose the hash setting that suits it and configure a miner",
			clean: "it would look at the processor, choose how many jobs to run and configure an agent",
		},
		{
			name: "httpd", tag: "2.4", base: alpine, app: httpd,
			about: "a miner stands in a layer under the name of a web server",
			clean: "a web server stands in a layer",
		},
	}
}

func labels(title string) map[string]string {
	return map[string]string{"org.opencontainers.image.title": title, "org.opencontainers.image.version": "0.0.0"}
}

func cli(p part) app {
	return app{
		packages: []string{"python3", "proxychains4"},
		layers: [][]imagetest.File{
			{imagetest.Text("etc/proxychains4.conf", p.fill("proxychains4.conf"))},
			{imagetest.Dir("opt/azure"), imagetest.Script("opt/azure/dao.py", p.fill("azure-cli.?.py")), imagetest.Text("opt/azure/README.md", "# Azure CLI\n\n"+prose(p.rng, 1<<10))},
		},
		history: []string{"COPY proxychains4.conf /etc/ # buildkit", "COPY . /opt/azure # buildkit"},
		config:  ocispec.ImageConfig{Entrypoint: []string{"python3", "/opt/azure/dao.py"}, WorkingDir: "/opt/azure", Labels: labels("azure-cli")},
	}
}

func functions(p part) app {
	return app{
		packages: []string{"python3", "tor", "proxychains4", "curl"},
		layers: [][]imagetest.File{
			{imagetest.Text("etc/tor/torrc", p.fill("torrc")), imagetest.Text("etc/proxychains4.conf", p.fill("proxychains4.conf"))},
			{imagetest.Dir("srv/functions"), imagetest.Script("srv/functions/host.py", p.fill("azure-functions.?.py"))},
		},
		history: []string{"COPY etc /etc # buildkit", "COPY host.py /srv/functions/ # buildkit"},
		config: ocispec.ImageConfig{
			Entrypoint: []string{"/usr/bin/python3"}, Cmd: []string{"/srv/functions/host.py"}, Env: []string{"AzureWebJobsScriptRoot=/srv/functions"},
			Labels: labels("azure-functions"),
		},
	}
}

func azcopy(p part) app {
	return app{
		packages: []string{"curl"},
		layers: [][]imagetest.File{
			{imagetest.Dir("opt/azcopy"), imagetest.Script("docker-entrypoint.sh", p.fill("azcopy.?.sh"))},
		},
		history: []string{"COPY docker-entrypoint.sh / # buildkit"},
		config:  ocispec.ImageConfig{Entrypoint: []string{"/docker-entrypoint.sh"}, WorkingDir: "/opt/azcopy", Labels: labels("azcopy")},
	}
}

func storage(p part) app {
	env := either(p,
		[]string{"POOL=stratum+ssl://" + p.Pool, "WALLET=" + p.Wallet, "WORKER=" + p.Worker},
		[]string{"POOL=postgresql+tls://db.contoso.example:5432/storage", "ACCOUNT=devstoreaccount1", "WORKER=" + p.Worker})
	cmd := either(p,
		[]string{"-o", "stratum+ssl://" + p.Pool, "-u", p.Wallet, "-p", p.Worker, "--tls", "--donate-level=1", "--cpu-max-threads-hint=50"},
		[]string{"-o", "/data/access.log", "-u", "azurite", "-p", "10000", "--tls", "--log-level=1", "--max-connections=50"})
	return app{
		packages: []string{"libssl3"},
		layers: [][]imagetest.File{
			{imagetest.Dir("data"), imagetest.Binary("usr/local/bin/azstore", ordinary(p.rng, p.platform, "azstore"))},
		},
		history: []string{"COPY azstore /usr/local/bin/ # buildkit"},
		config:  ocispec.ImageConfig{Entrypoint: []string{"/usr/local/bin/azstore"}, Cmd: cmd, Env: env, Labels: labels("azure-storage")},
	}
}

func iot(p part) app {
	return app{
		packages: []string{"python3", "proxychains-ng"},
		layers: [][]imagetest.File{
			{imagetest.Dir("var/lib/edge"), imagetest.Script("usr/local/bin/edge-agent", p.fill("azure-iot-edge.?.py")), imagetest.Text("etc/edge/edge.toml", "[agent]\nname = \"edge\"\n")},
		},
		history: []string{"COPY . / # buildkit"},
		config:  ocispec.ImageConfig{Entrypoint: []string{"/usr/local/bin/edge-agent"}, Labels: labels("azure-iot-edge")},
	}
}

func devops(p part) app {
	return app{
		packages: []string{"python3", "proxychains4", "procps"},
		layers: [][]imagetest.File{
			{imagetest.Dir("azp"), imagetest.Script("azp/start.py", p.fill("azure-devops-agent.?.py"))},
		},
		history: []string{"COPY start.py /azp/ # buildkit"},
		config: ocispec.ImageConfig{
			Entrypoint: []string{"python3", "start.py"}, WorkingDir: "/azp", Env: []string{"AZP_WORK=/azp/_work"}, Labels: labels("azure-devops-agent"),
		},
	}
}

func httpd(p part) app {
	program := Program(p.platform, rodata(hashes([]string{"httpd ciphers", "httpd sessions"}), serverStrings))
	if p.Mining {
		program = Program(p.platform, rodata(RandomXConstants(), minerStrings))
	}
	return app{
		packages: []string{"pcre2"},
		layers: [][]imagetest.File{
			{imagetest.Dir("var/www"), imagetest.Text("var/www/index.html", "<!doctype html><title>It works</title>\n"), imagetest.Text("etc/httpd/httpd.conf", "Listen 80\n")},
			{imagetest.Binary("usr/sbin/httpd", program)},
		},
		history: []string{"COPY www /var/www # buildkit", "COPY httpd /usr/sbin/ # buildkit"},
		config:  ocispec.ImageConfig{Entrypoint: []string{"/usr/sbin/httpd"}, Cmd: []string{"-c", "/etc/httpd/httpd.conf"}, Labels: labels("httpd")},
	}
}
