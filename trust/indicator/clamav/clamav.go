// Package clamav asks ClamAV about every file, through its daemon clamd. It is the one indicator that does I/O: the
// engine and its signatures are a program of their own, kept up to date by others. Nobody asks it who does not
// configure it.
//
// What clamd does not answer, or answers out of protocol, is unread, never clean. Files within archives are not sent:
// clamd unpacks by itself. It is silent about what is beyond its own limits unless clamd.conf says "AlertExceedsMax yes".
package clamav

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/internal/report"
)

// Name is the check's.
const Name = "clamav"

const version = 1

// Defaults of Options.
const (
	DefaultTimeout = time.Minute
	// dialTime bounds connecting, which a daemon that is there does at once.
	dialTime = 5 * time.Second
)

// Options say where clamd is. The zero value of all but Address works.
type Options struct {
	// Address is "unix:///run/clamav/clamd.ctl" or "tcp://host:3310". TCP is not encrypted.
	Address string
	// Timeout bounds each step of a conversation: a write, and the answer after the last one. Zero means DefaultTimeout.
	Timeout time.Duration
	// MaxStream is the size in bytes of the largest file that is sent; a larger one is unread. Zero leaves it to clamd's
	// own StreamMaxLength, which a file beyond it makes unread as well.
	MaxStream int64
}

// Indicator implements indicator.Indicator.
type Indicator struct {
	client    *client
	maxStream int64
	database  database
}

// New checks the options. It does not connect.
func New(o Options) (*Indicator, error) {
	network, address, err := parseAddress(o.Address)
	if err != nil {
		return nil, err
	}
	if o.Timeout < 0 || o.MaxStream < 0 {
		return nil, fmt.Errorf("clamd: timeout %s and size %d must not be negative", o.Timeout, o.MaxStream)
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	return &Indicator{
		client:    &client{network: network, address: address, timeout: o.Timeout, now: time.Now},
		maxStream: o.MaxStream,
	}, nil
}

// Name implements indicator.Indicator.
func (*Indicator) Name() string { return Name }

// Version implements indicator.Indicator.
func (*Indicator) Version() int { return version }

// Literals implements indicator.Indicator: every file is sent whole.
func (*Indicator) Literals() []indicator.Literal { return nil }

// Watch implements indicator.Indicator.
func (ind *Indicator) Watch(f indicator.File) indicator.Watch {
	if f.Kind == trust.KindConfig || strings.Contains(f.Path, trust.Nested) {
		return nil
	}
	w := &watch{ind: ind}
	if ind.maxStream > 0 && f.Size > ind.maxStream {
		w.unread = tooLarge(ind.maxStream)
	}
	return w
}

// Failures counts the conversations that failed for reasons that may pass: a daemon that cannot be reached, hangs, breaks
// off or talks nonsense. It only grows.
func (ind *Indicator) Failures() uint64 { return ind.client.failures.Load() }

// Database names the engine and the signatures that clamd has loaded, as it says itself. It is asked anew after a while;
// while it cannot be asked, the name is one that never comes again, so that nothing is remembered under it.
func (ind *Indicator) Database() string { return ind.database.name(ind.client) }

func tooLarge(limit int64) string {
	return fmt.Sprintf("is larger than the %d bytes that are sent to clamd", limit)
}

// watch sends one file.
type watch struct {
	ind    *Indicator
	talk   *conversation
	sent   int64
	unread string
}

// Hit implements indicator.Watch; there are no literals.
func (*watch) Hit(indicator.Hit) {}

// Bytes implements indicator.ByteWatch.
func (w *watch) Bytes(chunk []byte) {
	if w.unread != "" || len(chunk) == 0 {
		return
	}
	if w.sent += int64(len(chunk)); w.ind.maxStream > 0 && w.sent > w.ind.maxStream {
		w.give(tooLarge(w.ind.maxStream))
		return
	}
	if w.talk == nil {
		var err error
		if w.talk, err = w.ind.client.begin(); err != nil {
			w.give(err.Error())
			return
		}
	}
	if err := w.talk.send(chunk); err != nil {
		w.give(err.Error())
	}
}

// give up the file.
func (w *watch) give(why string) {
	w.unread = why
	if w.talk != nil {
		w.talk.close()
		w.talk = nil
	}
}

// Close implements indicator.Watch.
func (w *watch) Close() []trust.Finding {
	if w.unread != "" || w.talk == nil {
		return nil
	}
	name, err := w.talk.end()
	w.talk = nil
	switch {
	case err != nil:
		w.unread = err.Error()
		return nil
	case name == "":
		return nil
	case strings.HasPrefix(name, "Heuristics.Limits.Exceeded"):
		w.unread = "is beyond clamd's own limits"
		return nil
	}
	return []trust.Finding{{
		Strength: strengthOf(name), Excerpt: report.Excerpt([]byte(name)),
		Why: "is known to ClamAV as " + trust.Sanitise(name, maxName),
	}}
}

// Unread implements indicator.Bounded.
func (w *watch) Unread() string { return w.unread }

// maxName bounds a signature's name in a sentence, in bytes.
const maxName = 120

var (
	// aboutMining are signatures that ClamAV's namers file under mining.
	aboutMining = regexp.MustCompile(`(?i)(?:coin|crypto|bit)-?min(?:er|ing)`)
	// unwanted are signatures of what some people want to have.
	unwanted = regexp.MustCompile(`^(?:PUA|Heuristics)\.`)
)

// strengthOf weighs a signature by its name. Other malware is as strong as a common sign of mining: it is no proof of
// mining, but a policy that asks ClamAV wants to know.
func strengthOf(name string) trust.Strength {
	switch {
	case unwanted.MatchString(name):
		return trust.Weak
	case aboutMining.MatchString(name):
		return trust.Proof
	}
	return trust.Strong
}
