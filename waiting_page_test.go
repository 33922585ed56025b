package main

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/weir-gateway/weir/internal/testkit"
)

// A browser is a real one without a window, and what it has complained about.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex // guards all below
	complaints []string
	statuses   []int64 // of the documents, in the order in which they came
	streams    int     // opened
}

func openBrowser(t *testing.T) *browser {
	t.Helper()
	path := testkit.Program(t, "chromium", "chromium")
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.WindowSize(900, 700))
	ctx, stop := context.WithTimeout(context.Background(), 3*patience)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	b := &browser{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal("no browser: ", err)
	}
	tell(b, network.Enable, network.EnableParams{})
	tell(b, cdplog.Enable, cdp.Empty{})
	return b
}

func (b *browser) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *cdplog.EventEntryAdded:
		if e.Entry.Source != cdplog.EntrySourceNetwork { // a 503 is one
			b.complaints = append(b.complaints, fmt.Sprint(e.Entry.Source, ": ", e.Entry.Text))
		}
	case *runtime.EventExceptionThrown:
		b.complaints = append(b.complaints, fmt.Sprint(e.ExceptionDetails.Text, ": ", e.ExceptionDetails.URL))
	case *network.EventResponseReceived:
		switch e.Type {
		case network.ResourceTypeDocument:
			b.statuses = append(b.statuses, e.Response.Status)
		case network.ResourceTypeEventSource:
			b.streams++
		}
	}
}

// tell gives the browser a command of its protocol.
func tell[P, R any](b *browser, command cdp.Command[P, R], params P) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, command, params); err != nil {
		b.t.Fatal("the browser: ", err)
	}
}

func (b *browser) goTo(url string) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, chromedp.Navigate(url)); err != nil {
		b.t.Fatal("the browser: ", err)
	}
}

// eval is what an expression comes to, of a page whose scripts are off too. A
// page that is just being left has no value.
func (b *browser) eval(expression string) string {
	value, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string](expression))
	return value
}

// documents are the statuses of those that it has loaded.
func (b *browser) documents() []int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.statuses)
}

func (b *browser) wantDocuments(statuses ...int64) {
	b.t.Helper()
	if got := b.documents(); !slices.Equal(got, statuses) {
		b.t.Errorf("the browser got documents with %v, want %v", got, statuses)
	}
}

// shot is what there is to see, kept under a name if the tests are run with
// -artifacts.
func (b *browser) shot(name string) image.Image {
	b.t.Helper()
	file, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatal("the browser: ", err)
	}
	if err := os.WriteFile(filepath.Join(b.t.ArtifactDir(), name+".png"), file, 0o600); err != nil {
		b.t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		b.t.Fatal(err)
	}
	return img
}

// pixels counts those of a colour, as near as a screen can show it.
func pixels(img image.Image, want color.RGBA) (n int) {
	near := func(a uint32, b uint8) bool { return max(int(a>>8), int(b))-min(int(a>>8), int(b)) <= 2 }
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y++ {
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x++ {
			if r, g, b, _ := img.At(x, y).RGBA(); near(r, want.R) && near(g, want.G) && near(b, want.B) {
				n++
			}
		}
	}
	return n
}

// wantColours looks whether the picture is that of the page: much of the
// background, the card on it, and a little of
// what says how far the start is.
func wantColours(t *testing.T, img image.Image, page, card, mark color.RGBA) {
	t.Helper()
	all := img.Bounds().Dx() * img.Bounds().Dy()
	if n := pixels(img, page); n < all/3 {
		t.Errorf("%d of %d pixels are the page's background", n, all)
	}
	if n := pixels(img, card); n < all/20 {
		t.Errorf("%d of %d pixels are the card", n, all)
	}
	if n := pixels(img, mark); n < 30 || n > all/20 {
		t.Errorf("%d of %d pixels say how far it is", n, all)
	}
}

// startSleepy runs a weir with a page for functions that are ready when the test
// says so, and one for a function that never is.
func startSleepy(t *testing.T, settings ...string) (w *running, ready func(bool)) {
	t.Helper()
	dir := t.TempDir()
	file, sign := filepath.Join(dir, "weir.yaml"), filepath.Join(dir, "ready")
	write(t, file, fmt.Sprintf(`listeners: [{ address: "127.0.0.1:0" }]
admin: { address: "127.0.0.1:0" }
functions:
  slow:
    cold_start: { scaler: process, idle_after: 1s, max_wait: 60s }
    process: { command: [sh, -c, "while [ ! -e %s ]; do sleep 0.02; done; exec %s"], listen: fd }
    while_cold: { waiting_page: { after: 100ms } }
  broken:
    cold_start: { scaler: process }
    process: { command: [%q, __function, broken], listen: fd }
    while_cold: { waiting_page: {} }
routes:
  - { path_prefix: /slow, function: slow }
  - { path_prefix: /broken, function: broken }
`+strings.Join(settings, ""), sign, quick(t), program(t)))
	return startRun(t, file), func(yes bool) {
		if !yes {
			os.Remove(sign)
		} else {
			write(t, sign, "")
		}
	}
}

const text = "document.body.innerText"

func TestWaitingPageInABrowser(t *testing.T) {
	w, ready := startSleepy(t)
	b := openBrowser(t)

	b.goTo(w.url + "/slow")
	if title, shown := b.eval("document.title"), b.eval(text); title != "Starting slow" || !strings.Contains(shown, "Starting slow") {
		t.Fatalf("the page %q shows %q", title, shown)
	}
	eventually(t, "the page says how far the start is", func() bool {
		return b.eval(`document.getElementById("state").textContent`) == "An instance is starting up." &&
			b.eval(`document.querySelector("[aria-current]").dataset.step`) == "boot"
	})
	eventually(t, "the page says how long it has taken", func() bool { return strings.Contains(b.eval(text), "7 s so far.") })
	wantColours(t, b.shot("light"), color.RGBA{0xee, 0xf2, 0xf7, 255}, color.RGBA{255, 255, 255, 255}, color.RGBA{0x25, 0x63, 0xeb, 255})
	ready(true)
	eventually(t, "the function's answer is shown", func() bool { return strings.TrimSpace(b.eval(text)) == "ok" })
	b.shot("answer")
	b.wantDocuments(503, 200) // it was told, and did not load anew in between

	// The second time weir knows how long it takes, and it is dark.
	eventually(t, "the function is down again", func() bool { return w.metric("weir_stops_total", `function="slow"`) == 1 })
	ready(false)
	tell(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}})
	b.goTo(w.url + "/slow")
	eventually(t, "the page says how long it will take", func() bool {
		shown := b.eval(text)
		return strings.Contains(shown, "About ") || strings.Contains(shown, "longer than usual")
	})
	eventually(t, "the bar moves", func() bool { return b.eval(`String(document.querySelector("progress").value > 30)`) == "true" })
	dark := b.shot("dark")
	wantColours(t, dark, color.RGBA{0x0d, 0x13, 0x1c, 255}, color.RGBA{0x16, 0x1e, 0x2a, 255}, color.RGBA{0x6e, 0xa8, 0xff, 255})
	if n := pixels(dark, color.RGBA{0x6e, 0xa8, 0xff, 255}); n < 600 {
		t.Errorf("%d pixels are a third of the bar", n)
	}
	ready(true)
	eventually(t, "the function's answer is shown", func() bool { return strings.TrimSpace(b.eval(text)) == "ok" })

	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.statuses) < 4 || b.statuses[0] != 503 || b.statuses[len(b.statuses)-1] != 200 || b.streams < 2 {
		t.Errorf("the browser got documents with %v and %d streams", b.statuses, b.streams)
	}
	if len(b.complaints) > 0 {
		t.Errorf("the browser complains: %q", b.complaints)
	}
}

// A page that finds no room in the audience comes again by itself.
func TestWaitingPageThatIsNotTold(t *testing.T) {
	w, ready := startSleepy(t, "cold_start: { max_watching: 1 }\n")
	seat, err := http.Get(w.url + "/.weir/wait/slow")
	if err != nil || seat.StatusCode != 200 {
		t.Fatal(seat, err)
	}
	defer seat.Body.Close()
	b := openBrowser(t)
	b.goTo(w.url + "/slow")
	if shown := b.eval(text); !strings.Contains(shown, "Starting slow") {
		t.Fatalf("the page shows %q", shown)
	}
	eventually(t, "the page comes again", func() bool { return len(b.documents()) > 1 })
	ready(true)
	eventually(t, "the function's answer is shown", func() bool { return strings.TrimSpace(b.eval(text)) == "ok" })
}

func TestWaitingPageOfAFailedStart(t *testing.T) {
	w, _ := startSleepy(t)
	b := openBrowser(t)
	b.goTo(w.url + "/broken")
	eventually(t, "the page says that it failed", func() bool {
		return strings.Contains(b.eval(text), "It could not be started.") && strings.Contains(b.eval(text), "The next try is in")
	})
	b.shot("failed")
	eventually(t, "it is tried again", func() bool { return w.metric("weir_coldstarts_total", `function="broken"`, `result="failed"`) > 2 })
}

func TestWaitingPageWithoutScripts(t *testing.T) {
	w, ready := startSleepy(t)
	b := openBrowser(t)
	tell(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.goTo(w.url + "/slow")
	if shown := b.eval(text); !strings.Contains(shown, "Starting slow") {
		t.Fatalf("the page shows %q", shown)
	}
	b.shot("plain")
	ready(true)
	eventually(t, "the browser comes again by itself", func() bool { return strings.TrimSpace(b.eval(text)) == "ok" })
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.streams != 0 || len(b.complaints) > 0 {
		t.Errorf("%d streams, and the browser complains: %q", b.streams, b.complaints)
	}
}
