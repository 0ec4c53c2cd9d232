package stealth

import (
	"fmt"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/indicatortest"
)

func TestShapes(t *testing.T) {
	t.Parallel()
	r := rules(t)
	exe, script, text, config := trust.KindExecutable, trust.KindScript, trust.KindText, trust.KindConfig
	const list = "etc/ld.so.preload"
	elf := "\x7fELF\x02\x01\x01"
	indicatortest.Shapes(t, shipped(t), []indicatortest.Sample{
		{Name: "colons", Path: list, Kind: text, Content: "/usr/lib/libjemalloc.so.2:/tmp/x.so", Want: trust.Strong},
		{Name: "windows-lines", Path: list, Kind: text, Content: "/tmp/x.so\r\n", Want: trust.Strong},
		{Name: "any-name", Path: list, Kind: text, Content: "/var/tmp/data\n", Want: trust.Strong},
		{Name: "any-name-among-libraries", Path: list, Kind: text, Content: "/usr/lib/cache\n", Want: trust.Weak},
		{Name: "up-and-down", Path: list, Kind: text, Content: "/usr/lib/../../tmp/libjemalloc.so\n", Want: trust.Strong},
		{Name: "named-like-a-folder", Path: list, Kind: text, Content: "/libx/libjemalloc.so\n", Want: trust.Strong},
		{Name: "relative", Path: list, Kind: text, Content: "tmp/libjemalloc.so\n", Want: trust.Strong},
		{Name: "behind-a-comment", Path: list, Kind: text, Content: "/lib/libjemalloc.so # usual\n/dev/shm/a.so # unusual\n", Want: trust.Strong},
		{Name: "absolute-path", Path: "/etc/ld.so.preload", Kind: text, Content: "/tmp/x.so\n", Want: trust.Strong},
		{Name: "dotted-path", Path: "./etc/ld.so.preload", Kind: text, Content: "/tmp/x.so\n", Want: trust.Strong},
		{Name: "copied-list", Path: "a.sh", Kind: script, Content: "printf '/tmp/x.so' > /etc/ld.so.preload; true\n", Want: trust.Strong},
		{Name: "sudo-tee", Path: "a.sh", Kind: script, Content: "echo /tmp/x.so | sudo tee /etc/ld.so.preload >/dev/null\n", Want: trust.Strong},
		{Name: "at-start", Path: "config:command", Kind: config, Content: "sh -c \"echo /tmp/x.so >/etc/ld.so.preload && exec /srv\"", Want: trust.Strong},
		{Name: "quoted-list", Path: "a.py", Kind: script, Content: "os.system(\"echo '/dev/shm/x.so' > '/etc/ld.so.preload'\")\n", Want: trust.Strong},
		{Name: "module-of-others", Path: "x.ko", Kind: exe, Content: elf + symbols(r.Modules[len(r.Modules)-minModule:]...), Want: trust.Strong},
		{Name: "all-of-a-library", Path: "x.so", Kind: exe, Content: elf + symbols(r.Functions...) + symbols(r.Texts...), Want: trust.Proof},
	}, []indicatortest.Twin{
		{Name: "one-function-less", Path: "x.so", Kind: exe, Content: elf + symbols(r.Functions[1:]...) + symbols(r.Texts...)},
		{Name: "one-text-only", Path: "x.so", Kind: exe, Content: elf + symbols(r.Functions...) + symbols(r.Texts[0])},
		{Name: "longer-names", Path: "x.so", Kind: exe, Content: elf + symbols(r.Functions[0]+"_r", r.Functions[1]+"_r", r.Functions[2]+"_r") + symbols(r.Texts...)},
		{Name: "functions-in-text", Path: "x.c", Kind: text, Content: symbols(r.Functions...) + symbols(r.Texts...)},
		{Name: "lib64", Path: list, Kind: text, Content: "/usr/lib64/libjemalloc.so.2\n/lib32/libtcmalloc.so\n/usr/libexec/libfaketime.so\n"},
		{Name: "by-name", Path: list, Kind: text, Content: "libeatmydata.so\n"},
		{Name: "only-blanks", Path: list, Kind: text, Content: " \t\r\n\n"},
		{Name: "read", Path: "a.sh", Kind: script, Content: "cat /etc/ld.so.preload; ls -l /tmp/x.so\n"},
		{Name: "removed", Path: "a.sh", Kind: script, Content: "rm -f /etc/ld.so.preload /tmp/x.so\n"},
		{Name: "another-file", Path: "a.sh", Kind: script, Content: "echo /tmp/x.so > /etc/ld.so.conf.d/x.conf\n"},
		{Name: "another-list", Path: "srv/etc/ld.so.preload", Kind: text, Content: "/tmp/x.so\n"},
		{Name: "commented", Path: "a.sh", Kind: script, Content: "echo done # nothing into /etc/ld.so.preload: /tmp/x.so\n"},
	})
}

func TestPreloadLimits(t *testing.T) {
	t.Parallel()
	ind := shipped(t)
	for size, want := range map[int]bool{preloadBytes - 1: false, preloadBytes: false, preloadBytes + 1: true} {
		content := "/tmp/x.so\n" + strings.Repeat("\n", size-len("/tmp/x.so\n"))
		for _, chunk := range []int{0, 1, 100, preloadBytes} {
			file := indicator.File{Path: preload, Kind: trust.KindText}
			found := indicatortest.Inspect(ind, file, []byte(content), indicatortest.Drive{Chunk: chunk})
			unread := indicatortest.Unread(ind, file, []byte(content), indicatortest.Drive{Chunk: chunk})
			if len(found) != 1 || found[0].Strength != trust.Strong || (unread != "") != want {
				t.Errorf("%d bytes in chunks of %d: %+v, unread %q", size, chunk, found, unread)
			}
		}
	}
	// More commands than are read leave the file unread, not clean.
	content := strings.Repeat(": > /etc/ld.so.preload\n", 5000)
	if got := indicatortest.Unread(ind, indicator.File{Path: "a.sh", Kind: trust.KindScript}, []byte(content), indicatortest.Drive{}); got == "" {
		t.Error("5000 commands were read one by one")
	}
}

func TestIsPreload(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]bool{
		"etc/ld.so.preload": true, "/etc/ld.so.preload": true, "./etc/ld.so.preload": true, "a.tar!/etc/ld.so.preload": true, "a.tar!/b.tar!/./etc/ld.so.preload": true,
		"ld.so.preload": false, "x/etc/ld.so.preload": false, "etc/ld.so.preload.d": false, "a.tar!/x/etc/ld.so.preload": false, "": false, "myetc/ld.so.preload": false,
	} {
		if isPreload(path) != want {
			t.Errorf("%q: got %v", path, !want)
		}
	}
}

func TestNewSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*Rules)
		want   string
	}{
		"functions": {func(r *Rules) { r.Functions = nil }, "must not be empty"},
		"one-text":  {func(r *Rules) { r.Texts = r.Texts[:minTexts-1] }, "must not be empty"},
		"modules":   {func(r *Rules) { r.Modules = r.Modules[:minModule-1] }, "must not be empty"},
		"folders":   {func(r *Rules) { r.Folders = nil }, "must not be empty"},
		"function":  {func(r *Rules) { r.Functions = []string{"open"} }, fmt.Sprintf("%q is shorter than 6 bytes", "open\x00")},
		"texts":     {func(r *Rules) { r.Texts = make([]string, maxWords+1) }, "more than 32 words"},
	} {
		r := rules(t)
		test.change(&r)
		if _, err := New(r); err == nil || !strings.HasPrefix(err.Error(), "stealth rules: ") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", name, err, test.want)
		}
	}
}
