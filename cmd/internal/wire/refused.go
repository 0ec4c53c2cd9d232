package wire

import (
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/time/rate"

	"github.com/safepull/safepull/proxy/config"
	"github.com/safepull/safepull/proxy/metrics"
	"github.com/safepull/safepull/trust"
)

const (
	// saidAgain is how often the log says the same of a fault that lasts.
	saidAgain = time.Minute
	// maxFault bounds what the log quotes of it.
	maxFault = 300
)

// refusedLogin tells the operator that an upstream refuses the configured login: nobody reads anything there until
// somebody renews it.
func refusedLogin(u config.Upstream, counters *metrics.Metrics, log *logrus.Logger) func(error) {
	counters.OwnLogin(u.Host)
	fields := logrus.Fields{"upstream": u.Host, "credentials": u.Credentials.Kind}
	switch c := u.Credentials; {
	case c.Path != "":
		fields["file"] = c.Path
	case c.PasswordFile != "":
		fields["file"] = c.PasswordFile
	case c.Helper != "":
		fields["helper"] = c.Helper
	}
	again := rate.Sometimes{Interval: saidAgain}
	return func(err error) {
		counters.LoginRefused(u.Host)
		again.Do(func() {
			log.WithFields(fields).WithField("error", trust.Sanitise(err.Error(), maxFault)).
				Error("the upstream refuses the configured login: it was changed or has expired there; renew it, all reads with it fail until then")
		})
	}
}
