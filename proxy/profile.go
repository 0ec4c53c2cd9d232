package proxy

import (
	"net/http"
	"runtime"
	"runtime/pprof"
	"strings"
)

// profilePath is where "go tool pprof" looks.
const profilePath = "/debug/pprof/"

// profile serves what memory is held by, and what goroutines wait for. It is for the operator of this machine alone: it
// shows the names of functions and no content.
func (s *Server) profile(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, profilePath)
	p := pprof.Lookup(name)
	if p == nil || name != "heap" && name != "allocs" && name != "goroutine" {
		plain(w, http.StatusNotFound, "the profiles are heap, allocs and goroutine")
		return
	}
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", "GET")
		plain(w, http.StatusMethodNotAllowed, "only GET is served here")
		return
	}
	if name == "heap" {
		runtime.GC() // so that it shows what is held now
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if err := p.WriteTo(w, 0); err != nil {
		s.options.Log.WithError(err).Debug("a profile was not written whole")
	}
}
