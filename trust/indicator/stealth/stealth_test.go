package stealth

import (
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/indicatortest"
)

func rules(t testing.TB) Rules {
	t.Helper()
	var r Rules
	indicatortest.Decode(t, name, &r)
	return r
}

func shipped(t testing.TB) *Indicator {
	t.Helper()
	ind, err := New(rules(t))
	if err != nil {
		t.Fatal(err)
	}
	return ind
}

// symbols are names as a table of dynamic symbols holds them.
func symbols(names ...string) string { return "\x00" + strings.Join(names, "\x00\x00") + "\x00" }

func TestIndicator(t *testing.T) {
	t.Parallel()
	r := rules(t)
	exe, data, script, text, config := trust.KindExecutable, trust.KindData, trust.KindScript, trust.KindText, trust.KindConfig
	elf := "\x7fELF\x02\x01\x01"
	hider := elf + symbols(append([]string{"strcmp", "snprintf"}, r.Functions...)...) + symbols(r.Texts[:2]...)
	indicatortest.Run(t, shipped(t), []indicatortest.Sample{
		{Name: "library", Path: "usr/local/lib/libx.so", Kind: exe, Content: hider, Want: trust.Proof},
		{Name: "library-in-data", Path: "x.bin", Kind: data, Content: "\x00" + hider, Want: trust.Strong, IfRun: trust.Proof},
		{Name: "module", Path: "x.ko", Kind: exe, Content: elf + symbols(r.Modules[:3]...), Want: trust.Strong},
		{Name: "list", Path: "etc/ld.so.preload", Kind: script, Content: "/usr/local/lib/libprocesshider.so\n", Want: trust.Weak, Whole: true},
		{Name: "list-hidden", Path: "etc/ld.so.preload", Kind: script, Content: "/usr/lib/libjemalloc.so.2 /usr/lib/.cache/libx.so", Want: trust.Strong, Whole: true},
		{Name: "list-odd-folder", Path: "etc/ld.so.preload", Kind: script, Content: "# allocator\n/dev/shm/libjemalloc.so.2\n", Want: trust.Strong, Whole: true},
		{Name: "list-in-archive", Path: "app.tar!/etc/ld.so.preload", Kind: script, Content: "/usr/local/lib/libsystem.so", Want: trust.Weak, Whole: true},
		{Name: "written", Path: "a.sh", Kind: script, Content: "echo /usr/local/lib/libx.so >> /etc/ld.so.preload\n", Want: trust.Weak},
		{Name: "tee", Path: "config:history", Kind: config, Content: `RUN echo "/dev/shm/x.so" | tee -a /etc/ld.so.preload`, Want: trust.Strong},
	}, []indicatortest.Twin{
		{Name: "program-that-lists", Path: "bin/ps", Kind: exe, Content: elf + symbols("readdir", "dlsym") + symbols(r.Texts...)},
		{Name: "faketime", Path: "libfaketime.so.1", Kind: exe, Content: elf + symbols("dlsym", "clock_gettime", "stat", "fstat")},
		{Name: "fakeroot", Path: "libfakeroot-0.so", Kind: exe, Content: elf + symbols("dlsym", "stat64", "chown", "readdir64", "fts_read")},
		{Name: "torsocks", Path: "libtorsocks.so", Kind: exe, Content: elf + symbols("dlsym", "connect", "getaddrinfo", "close")},
		{Name: "sanitizer", Path: "libasan.so.8", Kind: exe, Content: elf + symbols("readdir", "readdir64", "dlsym") + symbols("/proc/self/maps")},
		{Name: "source", Path: "processhider.c", Kind: text, Content: strings.Join(append(r.Functions, r.Texts...), "\n")},
		{Name: "two-names", Path: "x.ko", Kind: exe, Content: elf + symbols(r.Modules[:2]...)},
		{Name: "allocator", Path: "etc/ld.so.preload", Kind: script, Content: "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2\n", Whole: true},
		{Name: "empty", Path: "etc/ld.so.preload", Kind: script, Content: "\n", Whole: true},
		{Name: "comment", Path: "etc/ld.so.preload", Kind: script, Content: "# /usr/local/lib/libprocesshider.so\n", Whole: true},
		{Name: "raspberry", Path: "etc/ld.so.preload", Kind: script, Content: "/usr/lib/arm-linux-gnueabihf/libarmmem-${PLATFORM}.so\n", Whole: true},
		{Name: "allocator-written", Path: "Dockerfile.sh", Kind: script, Content: "echo /usr/lib/x86_64-linux-gnu/libjemalloc.so.2 > /etc/ld.so.preload\n"},
		{Name: "cleared", Path: "a.sh", Kind: script, Content: "[ -e /etc/ld.so.preload ] && cat /dev/null > /etc/ld.so.preload; sed -i 's/libx.so//' /etc/ld.so.preload\n"},
		{Name: "checked", Path: "a.sh", Kind: script, Content: "grep -q libprocesshider.so /etc/ld.so.preload && echo rootkit\n"},
		{Name: "elsewhere", Path: "usr/share/doc/x/ld.so.preload", Kind: text, Content: "/usr/local/lib/libx.so\n"},
	})
}

func TestLongListIsReported(t *testing.T) {
	t.Parallel()
	file := indicator.File{Path: "etc/ld.so.preload", Kind: trust.KindScript}
	content := []byte(strings.Repeat(" ", preloadBytes) + "/tmp/x.so")
	if got := indicatortest.Unread(shipped(t), file, content, indicatortest.Drive{Chunk: 1000}); got == "" {
		t.Error("the end of the list was passed over")
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Rules){
		"nothing": func(r *Rules) { *r = Rules{} },
		"short":   func(r *Rules) { r.Texts = []string{"a", "b"} },
		"many":    func(r *Rules) { r.Modules = make([]string, maxWords+1) },
	} {
		r := rules(t)
		change(&r)
		if _, err := New(r); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzList(f *testing.F) {
	ind := shipped(f)
	f.Add([]byte("/usr/local/lib/libx.so # x\n"), 3)
	f.Add([]byte("echo a.so > /etc/ld.so.preload"), 1)
	f.Fuzz(func(t *testing.T, content []byte, chunk int) {
		for _, path := range []string{"etc/ld.so.preload", "a.sh"} {
			file := indicator.File{Path: path, Kind: trust.KindScript}
			whole := indicatortest.Inspect(ind, file, content, indicatortest.Drive{})
			cut := indicatortest.Inspect(ind, file, content, indicatortest.Drive{Chunk: max(1, chunk%1000)})
			if len(whole) != len(cut) || len(whole) > 0 && whole[0] != cut[0] {
				t.Errorf("%+v whole, %+v cut", whole, cut)
			}
		}
	})
}
