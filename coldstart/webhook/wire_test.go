package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
)

// A platformOf answers requests from memory, so that tests can have fake time.
type platformOf func(*http.Request, []byte) (*http.Response, error)

func (f platformOf) RoundTrip(r *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(r.Body)
	return f(r, body)
}

// says is an answer with a status, a body and fields.
func says(code int, body string, fields ...string) *http.Response {
	h := http.Header{}
	for i := 0; i < len(fields); i += 2 {
		h.Set(fields[i], fields[i+1])
	}
	return &http.Response{StatusCode: code, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

func made(t testing.TB, answer platformOf) *Platform {
	t.Helper()
	p, err := New("platform", config.Scaler{
		Type: "webhook", URL: "http://platform.example/scale?zone=a", TokenFile: tokenFile(t, secret),
		Timeout: 5 * time.Second, Refresh: 10 * time.Second, CallbackURL: "http://127.0.0.1:9901/",
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	p.client.Transport = answer
	return p
}

var someFunction = config.Function{
	Name:      "f",
	ColdStart: config.ColdStart{MaxScale: 5, StartTimeout: time.Minute, IdleMode: "stop"},
	Webhook:   map[string]string{"image": "f:1"},
}

func TestWhatStatusesMean(t *testing.T) {
	const terminal, transient, fine = "terminal", "transient", ""
	for _, c := range []struct {
		answer *http.Response
		want   string
		words  string
	}{
		{says(200, `{"instances":[{"id":"a","address":"10.0.0.1:80"}]}`), fine, ""},
		{says(200, `{"instances":[]}`), fine, ""},
		{says(200, `{}`), fine, ""},
		{says(202, ``), fine, ""},
		{says(204, ``), fine, ""},
		{says(400, "no such image: f:1\nat line 3"), terminal, "answers 400: no such image: f:1"},
		{says(404, ""), terminal, "answers 404"},
		{says(403, `{"title":"Forbidden","detail":"quota of zone a is spent"}`, "Content-Type", "application/problem+json"), terminal, "answers 403: quota of zone a is spent"},
		{says(409, `{"error":"taken"}`, "Content-Type", "application/json; charset=utf-8"), terminal, "answers 409: taken"},
		{says(301, "", "Location", "http://elsewhere.example/"), terminal, "follows no redirect"},
		{says(408, ""), transient, "answers 408"},
		{says(429, "slowly", "Retry-After", "3600"), transient, "answers 429: slowly"},
		{says(500, "\x1b[31moops\x00"), transient, "answers 500: [31moops"},
		{says(503, strings.Repeat("long ", 1000)), transient, "…"},
		{says(200, "<html>please log in</html>"), transient, "cannot be understood"},
		{says(200, `{"instances":"many"}`), transient, "cannot be understood"},
		{says(200, `{"instances":[`), transient, "cannot be understood"},
		{says(200, strings.Repeat(" ", answerBytes)+"{}"), transient, "longer than"},
		{says(200, `{"instances":[{"id":"a","failed":"no memory left"}]}`), transient, "instance a of \"f\": no memory left"},
		{says(200, `{"instances":[{"id":"a","failed":"no such image","terminal":true}]}`), terminal, "no such image"},
		{says(200, `{"instances":[{"id":"a","address":"nowhere"}]}`), transient, `"nowhere" is not host:port`},
	} {
		p := made(t, func(*http.Request, []byte) (*http.Response, error) { return c.answer, nil })
		err := p.ScaleUp(t.Context(), someFunction, 1)
		got := fine
		if err != nil {
			got = map[bool]string{true: terminal, false: transient}[coldstart.IsTerminal(err)]
		}
		if got != c.want || err != nil && !strings.Contains(err.Error(), c.words) {
			t.Errorf("%d: %q (%v), want %q and %q", c.answer.StatusCode, got, err, c.want, c.words)
		}
		if err != nil && (len(err.Error()) > 500 || strings.ContainsAny(err.Error(), "\x00\x1b\n")) {
			t.Errorf("%d: not fit to be logged: %q", c.answer.StatusCode, err)
		}
	}
}

// Every wish is repeated at one place, with the same key, and not before the
// platform wants it.
func TestRepeating(t *testing.T) {
	busy, soon := says(503, ""), func() *http.Response { return says(429, "", "Retry-After", "2") }
	date := func() *http.Response {
		return says(503, "", "Retry-After", time.Now().Add(3*time.Second).UTC().Format(http.TimeFormat))
	}
	for _, c := range []struct {
		name    string
		answers []func() *http.Response
		list    bool
		tries   int
		fails   bool
		least   time.Duration
		most    time.Duration
	}{
		{"ensure is repeated by the Activator", []func() *http.Response{func() *http.Response { return busy }}, false, 1, true, 0, 0},
		{"list three times", []func() *http.Response{func() *http.Response { return busy }}, true, 3, true, 240 * time.Millisecond, 360 * time.Millisecond},
		{"but a Retry-After is waited for", []func() *http.Response{soon, func() *http.Response { return says(200, "{}") }}, false, 2, false, 2 * time.Second, 2 * time.Second},
		{"in its other form too", []func() *http.Response{date, func() *http.Response { return says(200, "{}") }}, false, 2, false, 2 * time.Second, 3 * time.Second},
		{"if it is not for ever", []func() *http.Response{func() *http.Response { return says(503, "", "Retry-After", "11") }}, false, 1, true, 0, 0},
		{"nor terminal", []func() *http.Response{func() *http.Response { return says(404, "", "Retry-After", "1") }}, true, 1, true, 0, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			tries, keys := 0, map[string]bool{}
			p := made(t, func(r *http.Request, _ []byte) (*http.Response, error) {
				answer := c.answers[min(tries, len(c.answers)-1)]()
				tries++
				keys[r.Header.Get("Idempotency-Key")] = true
				return answer, nil
			})
			began := time.Now()
			var err error
			if c.list {
				_, err = p.Replicas(t.Context(), someFunction)
			} else {
				err = p.ScaleUp(t.Context(), someFunction, 1)
			}
			took := time.Since(began)
			if tries != c.tries || (err != nil) != c.fails || len(keys) != 1 || took < c.least || took > c.most {
				t.Errorf("%s: %d tries with %d keys in %v, error %v", c.name, tries, len(keys), took, err)
			}
		})
	}
}

// hangs answers only once its caller has gone.
func hangs(r *http.Request, _ []byte) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestPlatformThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := made(t, hangs)
		began := time.Now()
		err := p.ScaleUp(t.Context(), someFunction, 1)
		if err == nil || coldstart.IsTerminal(err) || !strings.Contains(err.Error(), "has not answered within 5s") || time.Since(began) != 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.ScaleUp(ctx, someFunction, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller with a second: %v", err)
		}
	})
}

func TestPlatformThatIsAway(t *testing.T) {
	p := made(t, func(*http.Request, []byte) (*http.Response, error) { return nil, errors.New("connection refused") })
	err := p.ScaleUp(t.Context(), someFunction, 1)
	if err == nil || coldstart.IsTerminal(err) || !strings.Contains(err.Error(), "cannot be reached") {
		t.Error(err)
	}
}

// The signature is what docs/webhook.md says, recomputed here from its words.
func TestSignature(t *testing.T) {
	p := made(t, func(r *http.Request, body []byte) (*http.Response, error) {
		h := r.Header
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte("POST\n/scale?zone=a\n" + h.Get("Weir-Timestamp") + "\n" + h.Get("Idempotency-Key") + "\n" + string(body)))
		if want := "sha256=" + hex.EncodeToString(mac.Sum(nil)); h.Get("Weir-Signature") != want {
			t.Errorf("signature %q, want %q", h.Get("Weir-Signature"), want)
		}
		if at := h.Get("Weir-Timestamp"); at != fmt.Sprint(time.Now().Unix()) && at != fmt.Sprint(time.Now().Unix()-1) {
			t.Errorf("timestamp %q", at)
		}
		want := `{"version":1,"action":"ensure","function":"f","instances":5,"max_scale":5,"idle_mode":"stop","settings":{"image":"f:1"},` +
			`"callback":{"url":"http://127.0.0.1:9901/api/v1/functions/f","token":"` + tokenOf([]byte(secret), "f") + `"}}`
		if string(body) != want {
			t.Errorf("body\n%s, want\n%s", body, want)
		}
		if strings.Contains(string(body), secret) {
			t.Error("the secret is in the body")
		}
		return says(204, ""), nil
	})
	if err := p.ScaleUp(t.Context(), someFunction, 100); err != nil {
		t.Error(err)
	}
}

func TestTokenFile(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	for _, c := range []struct{ file, want string }{
		{"/no/such/file", "cannot read the token"},
		{tokenFile(t, "short"), "has 5 bytes, want 16 or more"},
	} {
		if _, err := New("platform", config.Scaler{TokenFile: c.file}, log); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.file, err)
		}
	}
	var seen []string
	p := made(t, func(r *http.Request, _ []byte) (*http.Response, error) {
		seen = append(seen, r.Header.Get("Weir-Signature"))
		return says(204, ""), nil
	})
	token := tokenFile(t, secret)
	p.change(func(s *config.Scaler) { s.TokenFile = token })
	_ = p.ScaleUp(t.Context(), someFunction, 1)
	os.Remove(token)
	if err := p.ScaleUp(t.Context(), someFunction, 1); err == nil || coldstart.IsTerminal(err) {
		t.Errorf("without its token: %v", err)
	}
	p.change(func(s *config.Scaler) { s.TokenFile = "" })
	_ = p.ScaleUp(t.Context(), someFunction, 1)
	if len(seen) != 2 || !strings.HasPrefix(seen[0], "sha256=") || seen[1] != "" {
		t.Errorf("signatures %q", seen)
	}
}
