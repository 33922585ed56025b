package bench

import (
	"bytes"
	"context"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/weir-gateway/weir/internal/testkit"
)

// A report of everything there is to draw, with names that are not harmless.
func fullReport() *Report {
	tape := newTape(1)
	r := &Report{Target: "http://localhost:1/<script>document.title='broken'</script>", Load: "open loop", Began: time.Unix(0, 0), Took: 3 * time.Second, Calls: 600, Rate: 200}
	h := newHistogram()
	for i := range 600 {
		note(h, time.Duration(i+1)*100*time.Microsecond)
	}
	r.Corrected, r.Uncorrected = digest(h), digest(h)
	for i := range 3 {
		s := tape.blank()
		s.calls, s.shares = 200, map[string]int64{"eu<b>": int64(50 * (i + 1)), "us": 100}
		note(s.latency, time.Duration(i+1)*time.Millisecond)
		tape.add(i, s)
	}
	r.Seconds = tape.all()
	r.Phases = []Phase{{"boot", 50 * time.Millisecond}, {"release", time.Millisecond}}
	r.notef("a note | with a bar")
	return r
}

func browse[T any](t *testing.T, ctx context.Context, a chromedp.Action[T]) T {
	t.Helper()
	v, err := chromedp.Run(ctx, a)
	if err != nil {
		t.Fatal("the browser: ", err)
	}
	return v
}

// The page as a browser sees it: everything is drawn, nothing is fetched, and
// nothing of the data is run.
func TestThePageInABrowser(t *testing.T) {
	path := testkit.Program(t, "chromium", "chromium")
	file := filepath.Join(t.TempDir(), "report.html")
	var page bytes.Buffer
	if err := fullReport().WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, page.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, outside := range []string{"src=", "href=", "url(", "@import"} {
		if strings.Contains(page.String(), outside) {
			t.Errorf("the page has %s", outside)
		}
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	ctx, stop = chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.WindowSize(900, 700))...)
	defer stop()
	ctx, stop = chromedp.NewContext(ctx)
	defer stop()
	if err := chromedp.Do(ctx, chromedp.Navigate("file://"+file)); err != nil {
		t.Fatal("the browser: ", err)
	}
	title := browse(t, ctx, chromedp.Title())
	pictures := browse(t, ctx, chromedp.Evaluate[int](`document.querySelectorAll("svg").length`))
	// That each line and bar has an extent: coordinates that are no numbers draw nothing.
	drawn := browse(t, ctx, chromedp.Evaluate[int](`[...document.querySelectorAll("svg path:not(.w), svg rect")].filter(e => e.getBBox().width > 0).length`))
	wide := browse(t, ctx, chromedp.Evaluate[int](`document.documentElement.scrollWidth - innerWidth`))
	shot := browse(t, ctx, chromedp.FullScreenshot(100))
	if title != fullReport().Target || pictures != 5 || drawn != 2+3+2+2+2 || wide > 0 {
		t.Errorf("title %q, %d pictures, %d lines and bars, %d pixels too wide; want 5 and 11", title, pictures, drawn, wide)
	}
	picture, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[[3]uint32]bool{}
	for y := range picture.Bounds().Dy() {
		for x := range picture.Bounds().Dx() {
			r, g, b, _ := picture.At(x, y).RGBA()
			seen[[3]uint32{r >> 8, g >> 8, b >> 8}] = true
		}
	}
	for i := range 3 {
		c := [3][3]uint32{{0, 0x72, 0xb2}, {0xd5, 0x5e, 0}, {0, 0x9e, 0x73}}[i]
		if !seen[c] {
			t.Errorf("no pixel of the picture has the colour %s", colour(i))
		}
	}
}

func TestTheSummary(t *testing.T) {
	var b strings.Builder
	if err := fullReport().WriteMarkdown(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| corrected | ", "- 200 /s answers", "> a note | with a bar"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	b.Reset()
	if err := fullReport().WriteText(&b); err != nil || !strings.Contains(b.String(), "cold start: boot") {
		t.Error(b.String(), err)
	}
}
