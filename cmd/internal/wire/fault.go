package wire

import (
	"errors"
	"io/fs"
	"sync"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/sirupsen/logrus"
	"golang.org/x/time/rate"

	"github.com/safepull/safepull/proxy/config"
	"github.com/safepull/safepull/trust"
)

// saidLost is how many blobs that were damaged have a line each before there is one line a second: a disk that dies has a
// million.
const saidLost = 20

// cacheFaults tells the operator that the cache cannot keep what it should, once a minute at most, and of the end of it.
type cacheFaults struct {
	log   *logrus.Logger
	where string
	now   func() time.Time

	lost rate.Sometimes
	mu   sync.Mutex
	said bool // and that it works again was not
	at   time.Time
}

func newCacheFaults(cfg config.Cache, root string, log *logrus.Logger) *cacheFaults {
	where := root
	if cfg.Driver == config.DriverS3 {
		where = "bucket " + cfg.S3.Bucket
	}
	return &cacheFaults{log: log, where: where, now: time.Now, lost: rate.Sometimes{First: saidLost, Interval: time.Second}}
}

// damaged takes a blob that was dropped.
func (c *cacheFaults) damaged(d digest.Digest) {
	c.lost.Do(func() {
		c.log.WithFields(logrus.Fields{"cache": c.where, "digest": d.String()}).
			Warn("the cache had other bytes than it was given: they are dropped, and fetched again when somebody asks; if there are more, look after the disk")
	})
}

// failed takes a failure of the storage.
func (c *cacheFaults) failed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if !c.at.IsZero() && now.Sub(c.at) < saidAgain {
		return
	}
	c.said, c.at = true, now
	c.log.WithFields(logrus.Fields{"cache": c.where, "error": trust.Sanitise(err.Error(), maxFault)}).
		Warn("the cache fails: pulls go on, read from the registries anew; " + c.advice(err))
}

// works takes that content was kept again.
func (c *cacheFaults) works() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.said {
		return
	}
	c.said = false
	c.log.WithField("cache", c.where).Info("the cache keeps content again")
}

// advice is what to do about a failure.
func (c *cacheFaults) advice(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "its disk is full: free space there, or lower cache.maxBytes and restart"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return "safepull-proxy may not write there: mend the rights of its files, or set another cache.path"
	}
	return "look after its storage, if this lasts"
}
