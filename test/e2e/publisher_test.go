package e2e

import (
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/safepull/safepull/test/registrytest"
)

const publisherUsage = "usage: publisher NAME [joined=DAY|joined=-DAYS] [id=ID] [badge=WORD] [user] [repository=NAME,DAY,PULLS,STARS]... | publisher -drop NAME"

// cmdPublisher says what the APIs beside $UPSTREAM tell of an account.
func cmdPublisher(s *story, ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 0 || s.upstream == nil {
		ts.Fatalf("%s, after upstream", publisherUsage)
	}
	if args[0] == "-drop" && len(args) == 2 {
		s.upstream.DropPublisher(args[1])
		return
	}
	p := registrytest.Publisher{Name: args[0], ID: "4711", Joined: time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC)}
	for _, arg := range args[1:] {
		key, value, _ := strings.Cut(arg, "=")
		switch key {
		case "joined":
			p.Joined = dayOf(ts, value)
		case "id":
			p.ID = value
		case "badge":
			p.Badge = &value
		case "user":
			p.User = true
		case "repository":
			fields := strings.Split(value, ",")
			if len(fields) != 4 {
				ts.Fatalf("%s", publisherUsage)
			}
			pulls, err := strconv.ParseInt(fields[2], 10, 64)
			ts.Check(err)
			stars, err := strconv.ParseInt(fields[3], 10, 64)
			ts.Check(err)
			at := dayOf(ts, fields[1])
			p.Repositories = append(p.Repositories, registrytest.Published{Name: fields[0], Registered: at, Updated: at, Pulls: pulls, Stars: stars})
		default:
			ts.Fatalf("%s", publisherUsage)
		}
	}
	s.upstream.PutPublisher(p)
}

// dayOf is a day, or so many days ago.
func dayOf(ts *testscript.TestScript, s string) time.Time {
	if days, ok := strings.CutPrefix(s, "-"); ok {
		n, err := strconv.Atoi(days)
		ts.Check(err)
		return time.Now().AddDate(0, 0, -n)
	}
	at, err := time.Parse(time.DateOnly, s)
	ts.Check(err)
	return at
}
