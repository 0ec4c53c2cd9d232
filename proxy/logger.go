package proxy

import (
	"fmt"
	"os"

	"github.com/sirupsen/logrus"
	"golang.org/x/term"
)

// NewLogger logs to out. Format is "text", "json" or "auto", which is text on a terminal and JSON otherwise; level is
// a word that logrus knows.
func NewLogger(out *os.File, level, format string) (*logrus.Logger, error) {
	parsed, err := logrus.ParseLevel(level)
	if err != nil {
		return nil, fmt.Errorf("log level: %w", err)
	}
	l := logrus.New()
	l.SetOutput(out)
	l.SetLevel(parsed)
	switch terminal := term.IsTerminal(int(out.Fd())); {
	case format == "json", format == "auto" && !terminal:
		l.SetFormatter(&logrus.JSONFormatter{})
	case format == "text", format == "auto":
		l.SetFormatter(&logrus.TextFormatter{FullTimestamp: true, DisableColors: !terminal || os.Getenv("NO_COLOR") != ""})
	default:
		return nil, fmt.Errorf("log format %q is not auto, text or json", format)
	}
	return l, nil
}
