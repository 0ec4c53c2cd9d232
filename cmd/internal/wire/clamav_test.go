package wire

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/safepull/safepull/test/imagetest"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator/clamav"
	"github.com/safepull/safepull/trust/store/memory"
)

// clamd is a stand-in that finds the word MALWARE.
type clamd struct {
	version atomic.Int64
	away    atomic.Bool // breaks off
	files   atomic.Int64
}

func (d *clamd) serve(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "clamd.ctl")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go d.talk(conn)
		}
	}()
	return "unix://" + path
}

func (d *clamd) talk(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	r := bufio.NewReader(conn)
	command, err := r.ReadString(0)
	if err != nil {
		return
	}
	if command == "zVERSION\x00" {
		fmt.Fprintf(conn, "ClamAV 1.4.1/%d/today\x00", d.version.Load())
		return
	}
	if d.away.Load() {
		return
	}
	d.files.Add(1)
	var body strings.Builder
	for {
		var size uint32
		if err := binary.Read(r, binary.BigEndian, &size); err != nil || size == 0 {
			break
		}
		if _, err := io.CopyN(&body, r, int64(size)); err != nil {
			return
		}
	}
	answer := "OK"
	if strings.Contains(body.String(), "MALWARE") {
		answer = "Some.Thing-1 FOUND"
	}
	fmt.Fprintf(conn, "stream: %s\x00", answer)
}

func TestClamAV(t *testing.T) {
	t.Parallel()
	d := &clamd{}
	address := d.serve(t)
	store := imagetest.NewStore()
	remembered := memory.New()
	image := func(name, content string) trust.Reference {
		built := imagetest.Image{Layers: []imagetest.Blob{imagetest.Layer(imagetest.Text("opt/x", content))}}.Build()
		store.Add("acme/"+name, "1", built)
		return trust.Reference{Registry: "r.test", Repository: "acme/" + name, Tag: "1", Digest: built.Root.Digest}
	}
	judged := func(ref trust.Reference) trust.Verdict {
		t.Helper()
		// Each time as a new process, which asks for the version.
		loaded, err := loadFiles(sources{shippedList: true, clamd: clamav.Options{Address: address, Timeout: 5 * time.Second}})
		if err != nil {
			t.Fatal(err)
		}
		j, err := loaded.judge(remembered, nil)
		if err != nil {
			t.Fatal(err)
		}
		v, err := j.Judge(t.Context(), ref, store)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	clean, malware := image("clean", "nothing"), image("malware", "MALWARE")
	if v := judged(malware); v.Action != trust.Quarantine || !strings.Contains(strings.Join(v.Reasons, "\n"), "ClamAV as Some.Thing-1") {
		t.Errorf("%s: %q", v.Action, v.Reasons)
	}
	d.away.Store(true)
	if v := judged(clean); v.Action != trust.Quarantine || !v.Passing || len(v.Evidence.Unanswered) != 1 {
		t.Errorf("while clamd is away: %s, passing %t, %v", v.Action, v.Passing, v.Evidence.Unanswered)
	}
	d.away.Store(false)
	for _, step := range []struct{ version, files int64 }{{0, 1}, {0, 0}, {1, 1}, {1, 0}} {
		d.version.Store(step.version)
		before := d.files.Load()
		if v := judged(clean); v.Action != trust.Warn || len(v.Evidence.Findings) > 0 || len(v.Reasons) != 1 { // of its name, which nobody knows
			t.Errorf("%s: %q", v.Action, v.Reasons)
		}
		if asked := d.files.Load() - before; asked != step.files {
			t.Errorf("with signatures %d: asked about %d files, want %d", step.version, asked, step.files)
		}
	}
}

func TestClamdFrom(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		env  map[string]string
		want clamav.Options
		err  string
	}{
		"nothing": {},
		"all": {
			env:  map[string]string{"SAFEPULL_CLAMD_ADDRESS": "tcp://h:1", "SAFEPULL_CLAMD_TIMEOUT": "5s", "SAFEPULL_CLAMD_MAX_STREAM": "7"},
			want: clamav.Options{Address: "tcp://h:1", Timeout: 5 * time.Second, MaxStream: 7},
		},
		"odd-time": {env: map[string]string{"SAFEPULL_CLAMD_TIMEOUT": "soon"}, err: "SAFEPULL_CLAMD_TIMEOUT"},
		"no-time":  {env: map[string]string{"SAFEPULL_CLAMD_TIMEOUT": "0s"}, err: "from 1s to 1h"},
		"odd-size": {env: map[string]string{"SAFEPULL_CLAMD_MAX_STREAM": "-1"}, err: "SAFEPULL_CLAMD_MAX_STREAM"},
	} {
		got, err := clamdFrom(func(k string) string { return tt.env[k] })
		if tt.err == "" && (err != nil || got != tt.want) || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if _, err := loadFiles(sources{shippedList: true, clamd: clamav.Options{Address: "nowhere"}}); err == nil {
		t.Error("an odd address was taken")
	}
}
