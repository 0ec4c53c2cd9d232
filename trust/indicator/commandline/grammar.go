package commandline

import (
	"fmt"
	"slices"
	"strings"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator/internal/text"
)

// signs are what one command says about mining.
type signs struct {
	first    int // place of the first telling word, -1 when there is none
	only     map[string]bool
	program  bool // a miner's name
	started  bool // a miner's name where a command's stands
	valued   bool // an option that only miners have is given a value
	assigned bool // the words are a list that gets a name
	settings bool // a miner is told where its configuration is
	other    bool // the name of a program whose options mean something else
	scheme   bool // a pool URL
	algo     bool // a proof-of-work function's name
	algoFlag bool
	user     bool
	pass     bool
	endpoint bool
	// idiom is an endpoint by -o without a scheme, an account by -u and a password by -p: how miners are told their pool.
	shortEndpoint, shortUser, shortPass bool
	// longPass and wallet are how miners spell what others call --password and --user.
	longPass, wallet bool
	// host is one without a port, port says that an option gives it.
	host, port bool
	onion      bool // the endpoint is an onion service
	server     bool // the endpoint is given by an option that any client has
	// habit is what miners are told beside it: "x" for a password, to keep the connection, to stay in the background.
	habit bool
	// bare is a host and port as they stand, no variable and no placeholder, of no web scheme.
	bare    bool
	example bool // the endpoint is a placeholder
	starter bool // makes node software mine
}

// read finds the signs in a command. window gives the values of variables.
func (ind *Indicator) read(c text.Command, window []byte) signs {
	r := &ind.rules
	s := signs{first: -1, only: map[string]bool{}}
	var values map[string]string
	resolve := func(word string) string {
		if values == nil {
			values = text.Assignments(window)
		}
		return text.Resolve(word, values)
	}
	s.assigned = slices.ContainsFunc(c[:min(len(c), 4)], func(w text.Word) bool {
		return w.Text == "=" || w.Text == ":=" || strings.HasSuffix(w.Text, "=") && w.Text[0] != '-' || strings.HasSuffix(w.Text, ":")
	})
	node, joinedUser, joinedPass := false, false, false
	for i, w := range c {
		flag, value, joined := strings.Cut(w.Text, "=")
		if i+1 < len(c) && (!joined || value == "" && c[i+1].At <= w.At+len(w.Text)+2) {
			value = c[i+1].Text
		}
		told := true
		switch {
		case slices.Contains(r.Starters, flag):
			s.starter = s.starter || node || len(value) >= 90 || len(resolve(value)) >= 90
		case slices.Contains(r.Endpoint, flag):
			s.readEndpoint(ind, flag, value, resolve(value), portBehind(c, i+1))
		case len(w.Text) > 8 && !strings.HasPrefix(w.Text, "--") && slices.Contains(r.Endpoint, w.Text[:2]) && strings.Contains(w.Text, ":"):
			s.readEndpoint(ind, w.Text[:2], w.Text[2:], w.Text[2:], false)
		case slices.Contains(r.User, flag):
			s.user = s.user || isValue(value)
			s.shortUser = s.shortUser || flag == "-u" && isValue(value)
			s.wallet = s.wallet || strings.Contains(flag, "wal") && isValue(value)
		case slices.Contains(r.Pass, flag):
			s.pass = s.pass || isValue(value)
			s.shortPass = s.shortPass || flag == "-p" && isValue(value)
			s.longPass = s.longPass || flag == "--pass"
			s.habit = s.habit || value == "x" || value == "X"
		case slices.Contains(r.Algorithm, flag):
			s.algoFlag = true
			s.algo = s.algo || slices.Contains(r.Algorithms, strings.ToLower(resolve(value)))
		case slices.Contains(r.Habits, flag):
			s.habit = true
			told = false
		default:
			told = false
			joinedUser = joinedUser || isJoined(w.Text, "-u")
			joinedPass = joinedPass || isJoined(w.Text, "-p")
			s.habit = s.habit || w.Text == "-px"
			node = node || slices.Contains(r.Nodes, text.Base(w.Text))
			s.readProgram(r, c, i)
		}
		if slices.Contains(r.Only, flag) {
			s.only[flag], told = true, true
			s.valued = s.valued || joined || isValue(value) && !strings.Contains(value, "://")
		}
		s.settings = s.settings || flag == "-c" || flag == "--config"
		s.port = s.port || flag == "--port"
		if told && s.first < 0 {
			s.first = w.At
		}
	}
	if s.host && s.port { // --server HOST --port N
		s.endpoint = true
	}
	if s.shortEndpoint { // beside -oHOST:PORT, -uNAME is an account
		s.user, s.shortUser = s.user || joinedUser, s.shortUser || joinedUser
		s.pass, s.shortPass = s.pass || joinedPass, s.shortPass || joinedPass
	}
	return s
}

// isJoined reports whether a word is a one-letter option and its value in one.
func isJoined(word, option string) bool {
	return len(word) > len(option) && strings.HasPrefix(word, option)
}

// readProgram reads a word that is no option.
func (s *signs) readProgram(r *Rules, c text.Command, i int) {
	base := text.Base(c[i].Text)
	s.other = s.other || slices.Contains(r.Others, base)
	if c[i].Text[0] == '-' || !slices.Contains(r.Programs, strings.ToLower(base)) {
		return
	}
	s.program = true
	s.started = s.started || i == 0 || strings.Contains(c[i].Text, "/") || slices.Contains(r.Prefixes, text.Base(c[i-1].Text))
}

// portBehind: what stands behind a variable is a port, as when strings are added: host + ":3333".
func portBehind(c text.Command, value int) bool {
	if value+1 >= len(c) || !isIdentifier([]byte(strings.Trim(c[value].Text, "${}"))) {
		return false
	}
	port, ok := strings.CutPrefix(c[value+1].Text, ":")
	return ok && len(port) >= 2 && len(port) <= 5 && strings.Trim(port, "0123456789") == ""
}

// listed: options that only miners have, none with a value, in a list that is given a name: what somebody looks for.
func (s *signs) listed() bool {
	return len(s.only) >= 2 && s.assigned && !s.valued && !s.endpoint && !s.user
}

func (s *signs) readEndpoint(ind *Indicator, flag, raw, value string, port bool) {
	lower := strings.ToLower(value)
	pool := slices.ContainsFunc(ind.rules.Schemes, func(p string) bool { return strings.HasPrefix(lower, p) })
	e, ok := text.ParseEndpoint(value)
	server := flag == "--server"
	switch {
	case port:
		s.endpoint, s.bare = true, true
		s.shortEndpoint = s.shortEndpoint || flag == "-o"
	case ok && (e.Port > 0 || pool):
		s.endpoint = true
		s.onion = s.onion || strings.HasSuffix(e.Host, ".onion")
		s.server = s.server || server
		s.example = e.Placeholder()
		s.bare = s.bare || e.Dotted() && !s.example && (e.Scheme == "" || pool)
		s.shortEndpoint = s.shortEndpoint || flag == "-o" && e.Dotted() && !s.example && e.Scheme == "" && e.Port > 0
		s.scheme = s.scheme || pool
	case pool && !strings.HasSuffix(lower, "://"), namesPool(raw):
		s.endpoint = true
		// $POOL, whose value is elsewhere, such as in the image's environment.
		s.bare = s.bare || flag == "-o" && strings.HasPrefix(raw, "$")
		s.scheme = s.scheme || pool
	case isFilledIn(raw):
		s.endpoint = true
	case ok && e.Dotted() && e.Scheme == "" && strings.HasPrefix(flag, "--"):
		s.host = true
	}
}

// namesPool: a variable whose name says that it holds where to connect.
func namesPool(word string) bool {
	name := strings.ToLower(strings.Trim(word, "${}()%"))
	if !isIdentifier([]byte(name)) || name == strings.ToLower(word) && word != strings.ToUpper(word) && !strings.HasPrefix(name, "pool") {
		return false // an ordinary lower-case word, or none
	}
	return strings.Contains(name, "pool") || strings.Contains(name, "stratum")
}

// isFilledIn: a variable or a format's place, whose value is known at run time only. It is an endpoint beside what
// only miners are given, never by itself.
func isFilledIn(word string) bool {
	for _, env := range []string{"os.environ", "os.getenv", "os.Getenv", "process.env", "getenv", "System.getenv", "ENV.fetch", "std::env", "env::var", "sys.argv", "process.argv"} {
		if strings.HasPrefix(word, env) {
			return true
		}
	}
	return len(word) > 1 && (word[0] == '$' || word[0] == '{' || word == "%s" || word == "%v")
}

func isValue(v string) bool { return v != "" && (v[0] != '-' || len(v) == 1) }

// weigh is the grammar: options that only miners have, an endpoint, an account.
func (s signs) weigh() (trust.Strength, string) {
	marks := len(s.only)
	for _, more := range []bool{s.program, s.scheme, s.algo} {
		if more {
			marks++
		}
	}
	strength, why := trust.Context, ""
	switch {
	case s.starter:
		return trust.Proof, "makes node software mine"
	case len(s.only) >= 2 && s.endpoint:
		strength, why = trust.Proof, fmt.Sprintf("starts a miner: %d options that only miners have, and a pool", len(s.only))
	case marks >= 1 && s.endpoint && s.user && !(s.other && !s.scheme && !s.algo && len(s.only) == 0):
		strength, why = trust.Proof, "starts a miner: a pool, an account and what only miners are given"
	case len(s.only) >= 1 && s.endpoint:
		strength, why = trust.Strong, "starts a miner: an option that only miners have, and a pool"
	case len(s.only) >= 2, len(s.only) == 1 && marks >= 2:
		strength, why = trust.Strong, "gives a program options that only miners have"
	case s.shortEndpoint && s.shortUser && s.shortPass && s.habit && !s.other:
		return trust.Proof, "starts a program with a pool, an account and a password in the way that only miners are given them"
	case s.started && (s.user || s.endpoint || s.algo || s.settings):
		strength, why = trust.Strong, "starts a program with the name and the options of a miner"
	case s.bare && s.user && (s.pass || s.algoFlag) && !s.other && (!s.server || s.algoFlag) && (s.shortEndpoint || s.longPass || s.wallet || s.algoFlag || s.shortPass):
		return trust.Strong, "gives a program a host with port, an account and a password as miners are given their pool"
	case s.onion && s.user && !s.other:
		return trust.Strong, "gives a program an onion service with port and an account as miners are given their pool"
	case len(s.only) == 1:
		strength, why = trust.Weak, "gives a program an option that only miners have"
	}
	if s.example && strength > trust.Strong {
		strength, why = trust.Strong, why+", with a placeholder for the pool"
	}
	return strength, why
}
