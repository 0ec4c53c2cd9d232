package wallet

import (
	"bytes"
	"math/bits"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/internal/report"
	"github.com/safepull/safepull/trust/indicator/internal/text"
)

type watch struct {
	ind  *Indicator
	file indicator.File
	out  *report.Report
	text bool
	seam text.Seam
	seen map[string]bool
	sums []sums // per network
	// general: an address of a general coin was reported, and another would say nothing new.
	general bool
}

// sums counts the checksums that were computed, and up to where: a piece may show a place again.
type sums struct {
	count int
	next  int64
}

// maxSums bounds the checksums of one file and network, so that a file made of address beginnings costs no more than
// its length. A file that exceeds it is not fully read.
const maxSums = 1 << 16

// maxSeen bounds the addresses that are remembered so as to be weighed once only.
const maxSeen = 1024

// alnum are the bytes that an address is made of.
var alnum = func() (t [256]bool) {
	for _, r := range [][2]int{{'0', '9'}, {'a', 'z'}, {'A', 'Z'}} {
		for c := r[0]; c <= r[1]; c++ {
			t[c] = true
		}
	}
	return t
}()

// Bytes implements indicator.ByteWatch.
func (w *watch) Bytes(chunk []byte) {
	w.seam.Next(chunk, func(p []byte, at int64) { w.piece(p, at, false) })
}

// Close implements indicator.Watch.
func (w *watch) Close() []trust.Finding {
	w.seam.Close(func(p []byte, at int64) { w.piece(p, at, true) })
	return w.out.Findings()
}

// Unread implements indicator.Bounded.
func (w *watch) Unread() string { return w.out.Unread() }

// piece looks for runs of letters and digits that are long enough for an address. A run of at least step bytes has
// one at every step-th byte, so that most of a file is skipped.
func (w *watch) piece(p []byte, at int64, last bool) {
	step := w.ind.shortest
	if w.text {
		step = leastAccount
	}
	for i := step - 1; i < len(p); {
		if !alnum[p[i]] {
			i += step
			continue
		}
		from, to := i, i+1
		for from > 0 && i-from < step && alnum[p[from-1]] {
			from--
		}
		for to < len(p) && to-from < step && alnum[p[to]] {
			to++
		}
		if to-from < step {
			i = max(i+1, from+step, to+step-1)
			continue
		}
		for to < len(p) && alnum[p[to]] {
			to++
		}
		// Where a run does not begin within step bytes, its beginning was looked at before.
		w.run(p, from, to, at, last)
		if w.text {
			w.whole(p, from, to, at, last)
		}
		i = to + step
	}
}

// run looks at every place in a run where a CryptoNote address can begin: text escapes such as "\n" leave a digit
// before it.
func (w *watch) run(p []byte, from, to int, at int64, last bool) {
	for i := from; i+w.ind.shortest <= to; i++ {
		if !w.ind.first[p[i]] {
			continue
		}
		// Without its surroundings the address is left to the piece that holds them.
		if i < around && at > 0 {
			continue
		}
		tag, ok := tagOf(p[i:])
		if !ok {
			continue
		}
		n := w.ind.tags[tag]
		if n == nil || i+n.length > to || !last && i+n.length+around > len(p) {
			continue
		}
		end := i + n.length
		if w.exhausted(n) || !isDigits(p[i:end]) || !varied(p[i:end]) || !w.spend(n, at+int64(i)) {
			continue
		}
		if got, ok := parse(p[i:end]); ok && got == tag {
			w.found(sign{name: n.Name, test: n.Test, address: p[i:end], around: p[max(0, i-around):min(len(p), end+around)], offset: at + int64(i)})
		}
	}
}

// leastVaried is how many different digits an address has at the least. Random keys have fewer than one time in 10^30;
// sequences of nucleotides, of zeros and of hexadecimal digits always do.
const leastVaried = 20

// varied reports whether text has as many different bytes as an address of random keys.
func varied(p []byte) bool {
	var seen [2]uint64
	for _, c := range p {
		seen[c>>6&1] |= 1 << (c & 63)
	}
	return bits.OnesCount64(seen[0])+bits.OnesCount64(seen[1]) >= leastVaried
}

// exhausted reports that no more checksums of a network are computed.
func (w *watch) exhausted(n *network) bool { return w.sums != nil && w.sums[n.id].count > maxSums }

// spend reports whether one more checksum may be computed.
func (w *watch) spend(n *network, offset int64) bool {
	if w.sums == nil {
		w.sums = make([]sums, w.ind.networks)
	}
	s := &w.sums[n.id]
	if offset < s.next {
		return false
	}
	s.count++
	s.next = offset + 1
	if s.count <= maxSums {
		return true
	}
	w.out.GiveUp("holds more beginnings of " + n.Name + " addresses than are checked")
	return false
}

// whole asks whether a whole run is an address of another coin, or stands where a pool takes one.
func (w *watch) whole(p []byte, from, to int, at int64, last bool) {
	if from < around && at > 0 || !last && to+around > len(p) || to-from > mostAccount {
		return
	}
	if from > 0 && p[from-1] == '\\' && to-from > leastAccount {
		from++ // the letter of an escape
	}
	s := sign{address: p[from:to], around: p[max(0, from-around):min(len(p), to+around)], offset: at + int64(from)}
	before := p[max(0, from-around):from]
	for _, a := range w.ind.accounts {
		if a.General && w.general || !a.fits(s.address, before) {
			continue
		}
		s.name, s.general = a.Name, a.General
		if a.Form == formCashaddr {
			s.address, s.offset = p[from-len(a.Prefix)-1:to], s.offset-int64(len(a.Prefix)+1)
		}
		w.found(s)
		break
	}
	if ref, ok := payout(before, p[to:min(len(p), to+around)]); ok {
		w.payout(s, ref)
	}
}

// payout reads COIN:address.worker#reference, by which a pool that pays in other coins than it mines knows its users.
func payout(before, behind []byte) (reference bool, ok bool) {
	if len(before) < 3 || before[len(before)-1] != ':' || len(behind) < 2 || behind[0] != '.' {
		return false, false
	}
	coin := 0
	for i := len(before) - 2; i >= 0 && before[i] >= 'A' && before[i] <= 'Z'; i-- {
		coin++
	}
	if i := len(before) - 2 - coin; coin < 2 || coin > 6 || i >= 0 && alnum[before[i]] {
		return false, false
	}
	worker := 1
	for worker < len(behind) && (alnum[behind[worker]] || behind[worker] == '-' || behind[worker] == '_') {
		worker++
	}
	if worker == 1 || worker > 33 {
		return false, false
	}
	end := worker + 1
	for end < len(behind) && (alnum[behind[end]] || behind[end] == '-') {
		end++
	}
	return worker < len(behind) && behind[worker] == '#' && end-worker > 4 && end-worker <= 13, true
}

// Hit implements indicator.Watch: a prefix where runs are not looked at one by one, or the name of a service.
func (w *watch) Hit(h indicator.Hit) {
	window, at := text.Clip(h)
	l := w.ind.meaning[h.Literal]
	if l.service {
		w.service(window, at, h.Offset, w.ind.services[l.id])
		return
	}
	if w.text || at > 0 && alnum[window[at-1]] {
		return
	}
	a := w.ind.accounts[l.id]
	from := at
	if a.Form == formCashaddr {
		from += len(a.Prefix) + 1
	}
	to := from
	for to < len(window) && to-from <= mostAccount && alnum[window[to]] {
		to++
	}
	if to-from >= leastAccount && to-from <= mostAccount && a.fits(window[from:to], window[:from]) {
		w.found(sign{name: a.Name, address: window[at:to], around: window[max(0, at-around):min(len(window), to+around)], offset: h.Offset})
	}
}

// service looks for a user's name near the name of its pool.
func (w *watch) service(window []byte, at int, offset int64, s Service) {
	near := window[max(0, at-around):min(len(window), at+len(s.Name)+around)]
	for i := 0; ; {
		n := bytes.Index(near[i:], []byte(s.Prefix))
		if n < 0 {
			return
		}
		i += n
		end := i + s.Length
		if end <= len(near) && (i == 0 || !alnum[near[i-1]]) && (end == len(near) || !alnum[near[end]]) && isName(near[i+len(s.Prefix):end]) {
			w.out.Add(offset, trust.Strong, near[i:end], "names a user of the mining pool "+s.Name)
			return
		}
		i++
	}
}

func isName(s []byte) bool {
	for _, c := range s {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}
