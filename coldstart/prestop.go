package coldstart

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/weir-gateway/weir/config"
)

// What an instance says to the question whether it may be stopped.
type word int

const (
	done    word = iota // it may: a 2xx, or it is not there
	notDone             // it may not: 409 or 503
	odd                 // it may, but its answer is none to this question
	silent              // it has not answered in time
)

// maxUnheard is how often in a row instances that do not answer are kept: the
// third time they are stopped all the same.
const maxUnheard = 2

// askInstances stops the instances if they all say that they are done, unless
// somebody calls meanwhile. No call can get onto them.
func (c *Activation) askInstances(check config.PreStopCheck) {
	round, addrs := c.round, c.subject.Addresses()
	c.activator.work.Go(func() {
		ctx, cancel := context.WithTimeout(c.activator.ctx, check.Timeout)
		defer cancel()
		said := askAll(ctx, check.Path, addrs)
		c.activator.post(func() {
			if c.round == round {
				c.answered(said)
			}
		})
	})
}

// answered goes on once the instances have said whether they are done.
func (c *Activation) answered(said word) {
	log := c.activator.log.With("function", c.fn.Name)
	switch {
	case said == notDone:
		log.Info("kept: an instance is not done")
	case said == silent && c.unheard < maxUnheard:
		c.unheard++
		log.Warn("kept: an instance did not answer pre_stop_check in time")
		c.keepUp()
		return
	default:
		if said == odd {
			log.Warn("pre_stop_check: neither 2xx nor 409 nor 503; stopping")
		}
		c.unheard = 0
		c.drain(c.keep, "idle")
		return
	}
	c.unheard = 0
	c.keepUp()
}

// keepUp gives the instances another idle_after.
func (c *Activation) keepUp() {
	c.kept = time.Now()
	c.reroute()
}

// askAll asks all instances at once. One that is not done speaks for all, then
// one that is silent.
func askAll(ctx context.Context, path string, addrs []string) word {
	said := make([]word, len(addrs))
	var work sync.WaitGroup
	for i, addr := range addrs {
		work.Go(func() { said[i] = askOne(ctx, path, addr) })
	}
	work.Wait()
	worst := done
	for _, w := range said {
		if w == notDone {
			return notDone
		}
		worst = max(worst, w)
	}
	return worst
}

func askOne(ctx context.Context, path, addr string) word {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		if socket, local := strings.CutPrefix(addr, "unix:"); local {
			return d.DialContext(ctx, "unix", socket)
		}
		return d.DialContext(ctx, "tcp", addr)
	}
	host := addr
	if strings.HasPrefix(addr, "unix:") {
		host = "localhost"
	}
	client := &http.Client{
		Transport:     &http.Transport{DialContext: dial, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+path, nil)
	if err != nil {
		return odd
	}
	r.Header.Set("User-Agent", "weir")
	answer, err := client.Do(r)
	switch {
	case err != nil && (ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded)):
		return silent
	case err != nil:
		return done // nobody is there
	}
	_ = answer.Body.Close()
	switch {
	case answer.StatusCode == http.StatusConflict || answer.StatusCode == http.StatusServiceUnavailable:
		return notDone
	case answer.StatusCode/100 == 2:
		return done
	}
	return odd
}
