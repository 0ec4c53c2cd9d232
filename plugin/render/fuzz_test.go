package render

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode"

	"github.com/safepull/safepull/trust"
)

// FuzzExplain prints verdicts as a proxy may send them: nothing may move a cursor.
func FuzzExplain(f *testing.F) {
	seed, err := json.Marshal(blocked())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte(`{"action":"block","manifest":":","evidence":{"findings":[{"layer":"a:b:c","path":"\u001b"}]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var v trust.Verdict
		if json.Unmarshal(body, &v) != nil {
			return
		}
		var b bytes.Buffer
		d := NewDocument(v, "")
		if err := (Text{}).Explain(&b, v); err != nil {
			t.Fatal(err)
		}
		if err := (Text{}).Verdict(&b, d); err != nil {
			t.Fatal(err)
		}
		if err := JSON(&b, d); err != nil {
			t.Fatal(err)
		}
		for _, r := range b.String() {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Fatalf("prints %q", r)
			}
		}
	})
}
