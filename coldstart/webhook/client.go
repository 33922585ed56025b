package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/weir-gateway/weir/coldstart"
)

const (
	answerBytes = 1 << 20 // an instance is some 100 bytes
	quoteBytes  = 200     // of an answer, in an error

	// tries is how often a request that nobody else repeats is sent, firstPause
	// apart, doubled; longestWait is the most that Retry-After may ask for, and
	// is waited, while calls may be held for it.
	tries       = 3
	firstPause  = 100 * time.Millisecond
	longestWait = 10 * time.Second
)

// A wish is what is sent.
type wish struct {
	Version   int               `json:"version"`
	Action    string            `json:"action"` // ensure, limit, list
	Function  string            `json:"function"`
	Instances int               `json:"instances"` // ensure: at least; limit: at most
	MaxScale  int               `json:"max_scale"`
	IdleMode  string            `json:"idle_mode"`
	Settings  map[string]string `json:"settings"`
	Callback  *callback         `json:"callback,omitempty"`
}

// A callback is where instances and the platform tell what happens later.
type callback struct {
	URL   string `json:"url"`
	Token string `json:"token"`
}

// An answer is what comes back.
type answer struct {
	// Instances are all there are; nil is not told.
	Instances []told `json:"instances"`

	old bool // it may be the one to the request before, which had the same key
}

// A told instance is one as the platform describes it.
type told struct {
	ID       string `json:"id"`
	Address  string `json:"address"`
	Failed   string `json:"failed"`   // why it has ended
	Terminal bool   `json:"terminal"` // and that the next one would too

	// Where it is, for metrics and logs. What makes no sense is left out.
	Zone string `json:"zone"`
	Rack string `json:"rack"`
	Node string `json:"node"`
}

// A later error asks for patience.
type later struct {
	error
	wait time.Duration // 0: as it did not say how long
}

func (e later) Unwrap() error { return e.error }

// send sends a wish, in the function's turn. Unless it is repeated elsewhere, it is
// repeated here; a Retry-After that is not too long is waited for in any case.
func (p *Platform) send(ctx context.Context, f *function, w wish) (answer, error) {
	body, err := json.Marshal(w)
	if err != nil {
		return answer{}, coldstart.Terminal(fmt.Errorf("cannot write the request: %w", err))
	}
	key, old := f.keyOf(ctx, w.Action, body) // the same for every try
	repeated := w.Action == "ensure"
	pause := firstPause
	for try := 1; ; try++ {
		ans, err := p.try(ctx, body, key)
		ans.old = old
		var soon later
		if err == nil || try == tries || !errors.As(err, &soon) {
			return ans, err
		}
		wait := soon.wait
		if wait == 0 {
			wait = pause - pause/5 + mathrand.N(pause*2/5)
			pause *= 2
			if repeated {
				return ans, err
			}
		}
		if end, ok := ctx.Deadline(); wait > longestWait || ok && time.Until(end) < wait {
			return ans, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ans, err
		}
	}
}

// keyOf is the key of a request: a new one, unless the platform was told the very
// same before (old). It has the function's turn.
func (f *function) keyOf(ctx context.Context, action string, body []byte) (key string, old bool) {
	if action == "list" { // comes between the others
		return rand.Text(), false
	}
	old = coldstart.Repeated(ctx) && f.key != "" && bytes.Equal(body, f.body)
	if !old {
		f.key, f.body = rand.Text(), body
	}
	return f.key, old
}

// try sends a request once.
func (p *Platform) try(ctx context.Context, body []byte, key string) (answer, error) {
	settings := p.settings.Load()
	within, cancel := context.WithTimeout(ctx, settings.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(within, http.MethodPost, settings.URL, bytes.NewReader(body))
	if err != nil {
		return answer{}, coldstart.Terminal(err)
	}
	secret, err := secretIn(settings.TokenFile)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, application/problem+json")
	req.Header.Set("User-Agent", "weir")
	req.Header.Set("Idempotency-Key", key)
	if secret != nil {
		at := strconv.FormatInt(time.Now().Unix(), 10)
		req.Header.Set("Weir-Timestamp", at)
		req.Header.Set("Weir-Signature", "sha256="+sign(secret, req.Method, req.URL.RequestURI(), at, key, body))
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return answer{}, p.unheard(ctx, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, answerBytes+1))
	if err != nil {
		return answer{}, p.unheard(ctx, err)
	}
	return p.read(resp, text)
}

// unheard is the error of a request without an answer.
func (p *Platform) unheard(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err() // the caller's own
	case errors.Is(err, context.DeadlineExceeded):
		return later{error: fmt.Errorf("the platform has not answered within %v", p.settings.Load().Timeout)}
	}
	return later{error: fmt.Errorf("the platform cannot be reached: %w", err)}
}

// read is what an answer says.
func (p *Platform) read(resp *http.Response, text []byte) (ans answer, err error) {
	code := resp.StatusCode
	switch {
	case code == http.StatusRequestTimeout, code == http.StatusTooManyRequests, code >= 500:
		return ans, later{fmt.Errorf("the platform answers %d%s", code, quote(resp, text)), retryAfter(resp)}
	case code >= 300 && code < 400:
		return ans, coldstart.Terminal(fmt.Errorf("the platform answers %d: weir follows no redirect, because requests are signed for their place", code))
	case code >= 400:
		return ans, coldstart.Terminal(fmt.Errorf("the platform answers %d%s", code, quote(resp, text)))
	case len(bytes.TrimSpace(text)) == 0:
		return ans, nil // it has taken note
	case len(text) > answerBytes:
		return ans, fmt.Errorf("the platform's answer is longer than %d bytes", answerBytes)
	}
	if err := json.Unmarshal(text, &ans); err != nil {
		return answer{}, fmt.Errorf("the platform's answer cannot be understood: %w%s", err, quote(resp, text))
	}
	return ans, nil
}

// quote is the reason in an answer: the detail or title of problem+json, or the
// first line.
func quote(resp *http.Response, text []byte) string {
	var problem struct{ Detail, Title, Error string }
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	words := ""
	if strings.HasSuffix(kind, "json") && json.Unmarshal(text, &problem) == nil {
		for _, s := range []string{problem.Title, problem.Error, problem.Detail} {
			if s != "" {
				words = s
			}
		}
	}
	if words == "" {
		words, _, _ = strings.Cut(strings.TrimSpace(string(text)), "\n")
	}
	if words = printable(words); words == "" {
		return ""
	}
	return ": " + words
}

// printable is a text of somebody else's as it may stand in our log and answers.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\ufffd' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	if len(s) > quoteBytes {
		s = strings.ToValidUTF8(s[:quoteBytes], "") + "…"
	}
	return s
}

// retryAfter reads both forms of RFC 9110 section 10.2.3.
func retryAfter(resp *http.Response) time.Duration {
	field := resp.Header.Get("Retry-After")
	if s, err := strconv.ParseUint(field, 10, 31); err == nil {
		return time.Duration(s) * time.Second
	}
	if at, err := http.ParseTime(field); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}

// secret is what is in the file now, so that it may be replaced while weir runs;
// nil if there is none to have.
func (p *Platform) secret() ([]byte, error) { return secretIn(p.settings.Load().TokenFile) }

func secretIn(file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read the token: %w", err)
	}
	secret := bytes.TrimSpace(text)
	if len(secret) < secretBytes {
		return nil, fmt.Errorf("the token in %s has %d bytes, want %d or more; openssl rand -hex 32 makes one", file, len(secret), secretBytes)
	}
	return secret, nil
}

// secretBytes keeps "secret" and the empty file out.
const secretBytes = 16

// sign is the signature of a request, in hex.
func sign(secret []byte, method, target, at, key string, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%s\n%s\n%s\n%s\n", method, target, at, key)
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// tokenOf is what instances of a function prove themselves with. Whoever has it
// can say where the function is, and nothing else.
func tokenOf(secret []byte, function string) string {
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "weir callback\n%s", function)
	return hex.EncodeToString(mac.Sum(nil))
}
