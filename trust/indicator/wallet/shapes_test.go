package wallet

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/indicatortest"
)

func TestAddressesOfEveryShape(t *testing.T) {
	t.Parallel()
	script, text, config, exe, data := trust.KindScript, trust.KindText, trust.KindConfig, trust.KindExecutable, trust.KindData
	own, sub, paid := address(18, 64, 11), address(42, 64, 12), address(19, 72, 13)
	graft, arq, wow := address(0x5a, 64, 3), address(0x6847, 64, 5), address(0x1032, 64, 6)
	btc, doge, p2sh := bitcoin(9, 0), bitcoin(8, 0x1e), bitcoin(7, 5)
	raven, gold, ltc, dash := bitcoin(6, 0x3c), bitcoin(5, 0x26), bitcoin(4, 0x30), bitcoin(3, 0x4c)
	karlsen := "karlsen:" + cashaddrOf("karlsen", 32)
	ergo := "9fRAWhdxEsTcdb8PhGNrZfwqa65zfkuYHAMmkQLcic1gdLSV5vA"
	eth := checksummed("0xfb6916095ca1df60bb79ce92ce3ea74c37c5d359")
	indicatortest.Shapes(t, shipped(t), []indicatortest.Sample{
		{Name: "json-in-shell", Path: "a.sh", Kind: script, Content: "cat > c.json <<EOF\n{\"pools\":[{\"user\":\"" + own + "\"}]}\nEOF\n", Want: trust.Strong},
		{Name: "yaml", Path: "values.yaml", Kind: text, Content: "miner:\n  wallet: " + sub + "\n", Want: trust.Strong},
		{Name: "dotenv", Path: "app/.env", Kind: text, Content: "POOL=x\nWALLET=" + own + "\n", Want: trust.Strong},
		{Name: "systemd", Path: "etc/systemd/system/a.service", Kind: text, Content: "ExecStart=/opt/a -u " + own + "\n", Want: trust.Strong},
		{Name: "cron", Path: "etc/cron.d/a", Kind: script, Content: "* * * * * root /opt/a --user " + own + "\n", Want: trust.Strong},
		{Name: "powershell", Path: "a.ps1", Kind: script, Content: "$wallet = '" + own + "'\r\n", Want: trust.Strong},
		{Name: "quoted-quotes", Path: "a.sh", Kind: script, Content: `sed -i 's/"user": *"[^"]*"/"user": "` + own + `"/' c.json`, Want: trust.Strong},
		{Name: "worker-behind", Path: "a.sh", Kind: script, Content: "-u " + own + ".rig42+120000", Want: trust.Strong},
		{Name: "mail-behind", Path: "a.sh", Kind: script, Content: "-u " + own + ":a@b.cc", Want: trust.Strong},
		{Name: "coin-before", Path: "a.sh", Kind: script, Content: "-u XMR:" + own + " -p x", Want: trust.Strong},
		{Name: "word-behind", Path: "a.sh", Kind: script, Content: own + " # payout\n", Want: trust.Strong},
		{Name: "word-at-the-edge", Path: "a.sh", Kind: script, Content: "pool" + strings.Repeat(" ", around-4) + own, Want: trust.Strong},
		{Name: "word-too-far", Path: "a.sh", Kind: script, Content: "pool" + strings.Repeat(" ", around-3) + own, Want: trust.Weak},
		{Name: "word-inside-words", Path: "a.sh", Kind: script, Content: "spoolers whirlpool " + own, Want: trust.Weak},
		{Name: "word-in-capitals", Path: "a.sh", Kind: script, Content: "MONERO " + own, Want: trust.Strong},
		{Name: "first-byte", Path: "a.sh", Kind: script, Content: own, Want: trust.Weak},
		{Name: "label", Path: "config:labels", Kind: config, Content: "wallet=" + paid, Want: trust.Strong},
		{Name: "graft", Path: "a.sh", Kind: script, Content: "wallet " + graft, Want: trust.Strong},
		{Name: "arqma", Path: "x", Kind: data, Content: "\x00" + arq + "\x00", Want: trust.Weak},
		{Name: "wownero", Path: "x", Kind: exe, Content: "\x00" + wow + "\x00", Want: trust.Weak},
		{Name: "known-and-unknown", Path: "a.sh", Kind: script, Content: "monero " + donation + " " + own, Want: trust.Strong},
		{Name: "script-hash", Path: "a.sh", Kind: script, Content: "miner -u " + p2sh, Want: trust.Weak},
		{Name: "raven", Path: "a.sh", Kind: script, Content: "./t-rex -a kawpow -u " + raven + ".w", Want: trust.Weak},
		{Name: "gold", Path: "a.sh", Kind: script, Content: "miniz mining " + gold, Want: trust.Weak},
		{Name: "litecoin", Path: "a.sh", Kind: script, Content: "cpuminer -a scrypt -u " + ltc, Want: trust.Weak},
		{Name: "dash", Path: "a.sh", Kind: script, Content: "stratum+tcp://x -u " + dash, Want: trust.Weak},
		{Name: "bitcoin-behind-an-escape", Path: "a.js", Kind: script, Content: `s = "miner\n` + btc + `\n"`, Want: trust.Weak},
		{Name: "karlsen", Path: "a.sh", Kind: script, Content: "--wallet " + karlsen + ".r", Want: trust.Strong},
		{Name: "karlsen-in-a-program", Path: "x", Kind: exe, Content: "\x00" + karlsen + "\x00", Want: trust.Weak},
		{Name: "unmineable-without-reference", Path: "a.sh", Kind: script, Content: "-o unmineable -u DOGE:" + doge + ".w1 -p x", Want: trust.Strong},
		{Name: "unmineable-ethereum", Path: "a.sh", Kind: script, Content: "rig ETH:" + eth + ".w_1#abcd-efgh", Want: trust.Strong},
		{Name: "kryptex-first", Path: "a.sh", Kind: script, Content: "-u krx0A1B2C3.w -o xmr.kryptex.network:7029", Want: trust.Strong},
		{Name: "kryptex-in-a-program", Path: "x", Kind: exe, Content: "\x00xmr.Kryptex.network\x00krxZZZZZZZ\x00", Want: trust.Strong},
	}, []indicatortest.Twin{
		{Name: "unmineable-no-worker", Path: "a.sh", Kind: script, Content: "-u TRX:T" + strings.Repeat("Xy", 16) + "a#ab12-cd34"},
		{Name: "unmineable-long-coin", Path: "a.sh", Kind: script, Content: "-u ABCDEFG:T" + strings.Repeat("Xy", 16) + "a.w#ab12-cd34"},
		{Name: "unmineable-one-letter", Path: "a.sh", Kind: script, Content: "-u A:T" + strings.Repeat("Xy", 16) + "a.w#ab12-cd34"},
		{Name: "unmineable-coin-in-a-word", Path: "a.sh", Kind: script, Content: "-u xTRX:T" + strings.Repeat("Xy", 16) + "a.w#ab12-cd34"},
		{Name: "unmineable-short-reference", Path: "a.sh", Kind: script, Content: "-u TRX:T" + strings.Repeat("Xy", 16) + "a.w#abc"},
		{Name: "unmineable-long-reference", Path: "a.sh", Kind: script, Content: "-u TRX:T" + strings.Repeat("Xy", 16) + "a.w#abcdef-abcdef"},
		{Name: "unmineable-long-worker", Path: "a.sh", Kind: script, Content: "-u TRX:T" + strings.Repeat("Xy", 16) + "a." + strings.Repeat("w", 33) + "#ab12-cd34"},
		{Name: "bitcoin-library", Path: "a.py", Kind: script, Content: "assert b58decode('" + btc + "')"},
		{Name: "bitcoin-too-long-a-run", Path: "a.py", Kind: script, Content: "miner x" + btc + "1"},
		{Name: "bitcoin-in-base64", Path: "a.py", Kind: script, Content: "miner = '" + strings.Repeat("A", 30) + btc + strings.Repeat("A", 30) + "'"},
		{Name: "two-general-coins", Path: "README.md", Kind: text, Content: "Donate: " + btc + " or " + eth + " or mining rig " + doge},
		{Name: "ergo-vector", Path: "a.sh", Kind: script, Content: "wallet " + ergo},
		{Name: "kaspa-of-another-prefix", Path: "a.sh", Kind: script, Content: "wallet pyrin:" + cashaddrOf("kaspa", 33)},
		{Name: "kaspa-in-a-longer-word", Path: "a.sh", Kind: script, Content: "wallet xkarlsen:" + cashaddrOf("karlsen", 32)},
		{Name: "dero-short", Path: "a.sh", Kind: script, Content: "wallet dero1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq"},
		{Name: "nicehash-letters", Path: "a.sh", Kind: script, Content: "miner NHb" + strings.Repeat("0l", 16) + "k"},
		{Name: "kryptex-far", Path: "a.sh", Kind: script, Content: "kryptex" + strings.Repeat(" ", around+1) + "krxABC1234"},
		{Name: "kryptex-short", Path: "a.sh", Kind: script, Content: "kryptex krxABC123"},
		{Name: "stage-network", Path: "a.sh", Kind: script, Content: "miner " + address(24, 64, 3) + " " + address(36, 64, 4) + " " + address(25, 72, 5)},
		{Name: "git-objects", Path: "packed-refs", Kind: text, Content: strings.Repeat("4b825dc642cb6eb9a060e54bf8d69288fbee4904 refs/tags/v1\n", 60)},
		{Name: "uuid", Path: "a.sh", Kind: script, Content: "worker 123e4567-e89b-12d3-a456-426614174000"},
		{Name: "jwt", Path: "a.sh", Kind: script, Content: "user eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"},
	})
}

// However addresses stand between other runs of letters, all of them are found, whatever the cuts, and nothing else is.
func TestFindsAllAndOnly(t *testing.T) {
	t.Parallel()
	ind := shipped(t)
	random := rand.New(rand.NewPCG(8, 9))
	for range 60 {
		var b strings.Builder
		var want []string
		for range 1 + random.IntN(8) {
			a := address([]uint64{18, 42, 0x5a, 0x2cca, 0x6241d18c0}[random.IntN(5)], 64, byte(random.Uint32()))
			switch random.IntN(4) {
			case 0: // one digit is another
				i := 11 + random.IntN(60)
				changed := []byte(a)
				if changed[i]++; digits[changed[i]] == 0 {
					changed[i] = '2'
				}
				b.Write(changed)
			case 1: // the end is missing
				b.WriteString(a[:len(a)-1-random.IntN(5)])
			default:
				// Letters that no address begins with stand right before and behind.
				b.WriteString(strings.Repeat("0", random.IntN(3)*random.IntN(140)))
				if !slices.Contains(want, a) {
					want = append(want, a)
				}
				b.WriteString(a)
			}
			b.WriteString(strings.Repeat(" \n", 1+random.IntN(random.IntN(400)+1)))
		}
		for _, kind := range []trust.Kind{trust.KindScript, trust.KindData} {
			for _, chunk := range []int{0, 7, 300, 1024} {
				var got []string
				for _, f := range indicatortest.Inspect(ind, indicator.File{Path: "x", Kind: kind}, []byte(b.String()), indicatortest.Drive{Chunk: chunk}) {
					got = append(got, f.Excerpt)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("%s in chunks of %d: %s\n%q", kind, chunk, diff, b.String())
				}
			}
		}
	}
}

// Exactly as many checksums as the limit allows leave nothing unread; an address behind them is still found.
func TestSumsLimit(t *testing.T) {
	t.Parallel()
	ind, own := shipped(t), address(18, 64, 21)
	// The beginning of a Monero address every time, and no valid checksum.
	bait := "45" + strings.Repeat("23456789ABCDEFGHJKLMN", 5)[:93]
	for n, want := range map[int]bool{maxSums - 1: false, maxSums: true} {
		content := []byte(strings.Repeat(bait+" ", n) + "pool " + own)
		file := indicator.File{Path: "a.sh", Kind: trust.KindScript}
		found := indicatortest.Inspect(ind, file, content, indicatortest.Drive{Chunk: 1 << 16})
		unread := indicatortest.Unread(ind, file, content, indicatortest.Drive{Chunk: 1 << 16})
		if (unread != "") != want || (len(found) == 0) != want {
			t.Errorf("%d beginnings: %d findings, unread %q", n, len(found), unread)
		}
	}
}

// Rules that the engine could not work with, or that say nothing, are refused with the place.
func TestNewSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*Rules)
		want   string
	}{
		"network-name": {func(r *Rules) { r.Networks = []Network{{Tag: 18}} }, `network ""`},
		"network-tag":  {func(r *Rules) { r.Networks = []Network{{Name: "A", Tag: 1 << 42}} }, `network "A"`},
		"same-tag":     {func(r *Rules) { r.Networks = []Network{{Name: "A", Tag: 18}, {Name: "B", Tag: 18}} }, `network "B"`},
		"account-name": {func(r *Rules) { r.Accounts = []Account{{Form: formErgo}} }, `account ""`},
		"account-form": {func(r *Rules) { r.Accounts = []Account{{Name: "A"}} }, `account "A"`},
		"no-version":   {func(r *Rules) { r.Accounts = []Account{{Name: "A", Form: formBase58Check, First: "1"}} }, `account "A"`},
		"long-version": {func(r *Rules) {
			r.Accounts = []Account{{Name: "A", Form: formBase58Check, First: "1", Versions: []string{"001122"}}}
		}, `version "001122"`},
		"empty-version": {func(r *Rules) {
			r.Accounts = []Account{{Name: "A", Form: formBase58Check, First: "1", Versions: []string{""}}}
		}, `version ""`},
		"no-first": {func(r *Rules) { r.Accounts = []Account{{Name: "A", Form: formBase58Check, Versions: []string{"00"}}} }, `account "A"`},
		"long-prefix": {func(r *Rules) {
			r.Accounts = []Account{{Name: "A", Form: formCashaddr, Prefix: strings.Repeat("a", maxPrefix+1)}}
		}, `account "A"`},
		"short-prefix":    {func(r *Rules) { r.Accounts = []Account{{Name: "A", Form: formBech32, Prefix: "kas"}} }, `account "A"`},
		"short-cashaddr":  {func(r *Rules) { r.Accounts = []Account{{Name: "A", Form: formCashaddr, Prefix: "nexa"}} }, `account "A"`},
		"service-prefix":  {func(r *Rules) { r.Services = []Service{{Name: "kryptex", Prefix: "k", Length: 8}} }, "service"},
		"service-length":  {func(r *Rules) { r.Services = []Service{{Name: "kryptex", Prefix: "krx", Length: 3}} }, "service"},
		"service-long":    {func(r *Rules) { r.Services = []Service{{Name: "kryptex", Prefix: "krx", Length: maxAddress + 1}} }, "service"},
		"words":           {func(r *Rules) { r.Words = nil }, "words"},
		"one-too-many":    {func(r *Rules) { r.Services = make([]Service, maxNetworks-len(r.Networks)-len(r.Accounts)+1) }, fmt.Sprint(maxNetworks)},
		"donation":        {func(r *Rules) { r.Donations = []string{"x"} }, `"x" has a wrong checksum`},
		"vector-unlisted": {func(r *Rules) { r.Networks = r.Networks[1:] }, "wrong checksum"},
	} {
		r := rules(t)
		test.change(&r)
		if _, err := New(r); err == nil || !strings.HasPrefix(err.Error(), "wallet rules: ") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", name, err, test.want)
		}
	}
}
