package httpjson

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/discovery/document"
)

// retryAfter is how soon is asked again after a failure, doubled each time up
// to the interval: a server that was restarted is back soon.
const retryAfter = time.Second

// A Provider reports the endpoints that a web server knows.
type Provider struct {
	*document.Latest
	settings config.HTTPDiscovery
	shown    string // the URL without its password

	// Run's own.
	etag  string              // of the newest version
	flaws []discovery.Refusal // of the newest version
}

// New makes a provider. Nothing is asked before Run.
func New(settings config.HTTPDiscovery, log *slog.Logger) *Provider {
	p := &Provider{Latest: document.NewLatest(config.FromHTTP, log), settings: settings, shown: settings.URL}
	if u, err := url.Parse(settings.URL); err == nil {
		p.shown = u.Redacted()
	}
	return p
}

// Run asks until ctx ends.
func (p *Provider) Run(ctx context.Context) error {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: p.settings.Timeout}
	failures := 0
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		err := p.ask(ctx, client)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			failures++
			p.Refuse([]discovery.Refusal{{What: p.shown, Reason: err.Error() + "; what was answered before stands"}})
		default:
			failures = 0
		}
		timer.Reset(p.pause(failures))
	}
}

func (p *Provider) pause(failures int) time.Duration {
	wait := p.settings.Interval
	if failures > 0 {
		wait = min(wait, retryAfter<<min(failures-1, 10))
	}
	return wait + time.Duration(rand.Int64N(int64(wait)/10+1))
}

// ask takes over a newer document, if there is one.
func (p *Provider) ask(ctx context.Context, client *http.Client) error {
	request, err := p.request(ctx)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) { // which begins with the URL
			err = failed.Err
		}
		return fmt.Errorf("cannot be asked: %w", err)
	}
	defer answer.Body.Close()
	switch {
	case answer.StatusCode == http.StatusNotModified && p.etag != "":
		p.Refuse(p.flaws)
		return nil
	case answer.StatusCode != http.StatusOK:
		return fmt.Errorf("answers with status %d", answer.StatusCode)
	}
	if kind := answer.Header.Get("Content-Type"); !isJSON(kind) {
		return fmt.Errorf("answers with %q, not with application/json", kind)
	}
	most := int64(p.settings.MaxBytes)
	doc, err := io.ReadAll(io.LimitReader(answer.Body, most+1))
	switch {
	case err != nil:
		return fmt.Errorf("breaks off: %w", err)
	case int64(len(doc)) > most:
		return fmt.Errorf("answers with more than max_bytes, %v", p.settings.MaxBytes)
	}
	services, refused, err := document.JSON(doc)
	if err != nil {
		return fmt.Errorf("answers with a document that is none: %w", err)
	}
	p.etag = answer.Header.Get("ETag")
	p.Set(services)
	for i := range refused {
		refused[i].What = p.shown + ", " + refused[i].What
	}
	p.flaws = refused
	p.Refuse(refused)
	return nil
}

func (p *Provider) request(ctx context.Context) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.settings.URL, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "weir")
	if p.etag != "" {
		request.Header.Set("If-None-Match", p.etag)
	}
	if p.settings.TokenFile != "" {
		token, err := os.ReadFile(p.settings.TokenFile)
		if err != nil {
			return nil, fmt.Errorf("cannot be asked: cannot read token_file: %w", err)
		}
		request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	return request, nil
}

// isJSON tells whether a content type is JSON. An error page with status 200 is
// not; a server that does not say is believed.
func isJSON(contentType string) bool {
	if contentType == "" {
		return true
	}
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && (kind == "application/json" || strings.HasSuffix(kind, "+json") || kind == "text/plain")
}
