package proxy

import (
	"strings"
	"testing"
	"time"

	"github.com/weir-gateway/weir/proxy/message"
)

func TestNavigations(t *testing.T) {
	const chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
	f := func(want bool, method string, fields ...string) {
		t.Helper()
		r := message.Request{Method: []byte(method)}
		for i := 0; i < len(fields); i += 2 {
			r.Fields = append(r.Fields, message.Field{Name: []byte(fields[i]), Value: []byte(fields[i+1]), ID: message.Lookup([]byte(fields[i]))})
		}
		if got := isNavigation(&r); got != want {
			t.Errorf("%s %v is a navigation: %v", method, fields, got)
		}
	}
	f(true, "GET", "User-Agent", chrome, "Accept", "text/html,*/*;q=0.8", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document")
	f(true, "GET", "User-Agent", chrome, "Accept", "text/html,*/*;q=0.8") // over plain HTTP
	f(true, "GET", "sec-fetch-mode", "navigate")
	f(false, "GET", "Accept", "text/html", "Sec-Fetch-Mode", "cors")
	f(false, "GET", "Accept", "text/html", "Sec-Fetch-Mode", "no-cors")
	f(false, "GET", "Accept", "*/*")
	f(false, "GET")
	f(false, "POST", "Accept", "text/html", "Sec-Fetch-Mode", "navigate")
	f(false, "HEAD", "Accept", "text/html")
	f(false, "GET", "Accept", "text/html", "X-Requested-With", "XMLHttpRequest")
	f(false, "GET", "Accept", "text/html", "Sec-Fetch-Mode", "navigate", "Sec-Purpose", "prefetch;prerender")
	f(false, "GET", "Accept", "text/html", "User-Agent", "Mozilla/5.0 (compatible; Googlebot/2.1)")
	f(false, "GET", "Accept", "text/html", "User-Agent", "curl/8.5.0")
}

// Whatever a function is called, its page has no more elements for it.
func TestPageEscapesTheName(t *testing.T) {
	page := stage{phase: "boot"}.page(`q"><script>alert(1)</script>`, 5)
	if strings.Count(page, "<script>") != 1 || strings.Contains(page, `q"`) {
		t.Error("the name is markup")
	}
	if strings.Contains(page, "{{") {
		t.Errorf("a text is missing: %s", page[strings.Index(page, "{{"):][:40])
	}
}

func TestPageWithoutScripts(t *testing.T) {
	f := func(s stage, wants ...string) {
		t.Helper()
		page := s.page("shop", 7)
		for _, want := range wants {
			if !strings.Contains(page, want) {
				t.Errorf("%+v: no %s", s, want)
			}
		}
	}
	f(stage{phase: "boot", elapsed: time.Second, usual: 3 * time.Second}, "Starting shop", "An instance is starting up.", `"boot" aria-current="step"`, "About 2 s left.", ` value="33"`)
	f(stage{phase: "boot", elapsed: 4 * time.Second, usual: 3 * time.Second}, "a little longer", ` value="95"`)
	f(stage{phase: "queued"}, "Waiting for its turn", `max="100">`, `<noscript><meta http-equiv="refresh" content="7"></noscript>`)
	f(stage{phase: "failed", retry: 1500 * time.Millisecond}, "It could not be started.", "The next try is in 2 s.", `class="failed"`)
}

func TestOwnPaths(t *testing.T) {
	f := func(path string, want bool) {
		t.Helper()
		if isOwnPath([]byte(path)) != want {
			t.Errorf("%s is weir's own: %v", path, !want)
		}
	}
	f("/.weir/wait/f", true)
	f("/.weir/", false)
	f("/.weird/x", false)
	f("/a/.weir/wait/f", false)
	f("*", false)
}
