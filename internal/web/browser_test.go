package web

import (
	"context"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"greenroom/internal/evidence"
)

var shots = flag.String("shots", "", "a folder for pictures of every story: go test ./internal/web -run Browser -shots /tmp/shots")

// browser is a chromium of its own for the test.
func browser(t *testing.T) context.Context {
	t.Helper()
	var program string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "/Applications/Chromium.app/Contents/MacOS/Chromium",
		"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			program = found
			break
		}
	}
	if program == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("no chromium on this machine: apt-get install chromium")
		}
		t.Skip("SKIPPED: no chromium on this machine, so nobody looked at the pages: apt-get install chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.UserDataDir(t.TempDir()),
		chromedp.DisableGPU, chromedp.Flag("disable-component-update", true),
		chromedp.WSURLReadTimeout(3*time.Minute)) // to start, on a busy machine
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	ctx, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	return ctx
}

// TestBrowser opens every story where nothing but the page's own file may be asked for, and demands that the browser
// complains of nothing and that nothing is wider than the screen.
func TestBrowser(t *testing.T) {
	ctx := browser(t)
	heard := listen(t, ctx)
	for name, r := range stories() {
		t.Run(name, func(t *testing.T) {
			open(t, ctx, written(t, name, r))
			for _, width := range []int64{360, 390, 800, 1400} {
				for _, scheme := range []string{"light", "dark"} {
					show(t, ctx, width, scheme)
					if wide := tooWide(t, ctx); wide != "" {
						t.Errorf("at %d pixels these are wider than the screen: %s", width, wide)
					}
					photograph(t, ctx, fmt.Sprintf("%s-%d-%s", name, width, scheme))
				}
			}
			for _, said := range heard() {
				t.Errorf("the browser says: %s", said)
			}
		})
	}
}

// TestBrowserPrints: on paper no part that a person looks at as one is longer than a page, also where the screen is dark, and
// no legend is away from its picture.
func TestBrowserPrints(t *testing.T) {
	ctx := browser(t)
	for _, name := range []string{"fail", "pass", "mask", "sqlite"} {
		open(t, ctx, written(t, name, stories()[name]))
		err := call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print",
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}})
		if err != nil {
			t.Fatal(err)
		}
		const width, height = 739, 979 // of US Letter without the margins of a browser, in pixels of CSS
		if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, height)); err != nil {
			t.Fatal(err)
		}
		long, err := chromedp.Run(ctx, chromedp.Evaluate[string](fmt.Sprintf(`[...document.querySelectorAll("figure, .hero, .legend")]
			.map(e => e.closest(".part") || e).filter(e => e.getBoundingClientRect().height > %d)
			.map(e => e.id + " " + e.getBoundingClientRect().height).join(", ")`, height)))
		if err != nil || long != "" {
			t.Errorf("%s: longer than a page: %s, %v", name, long, err)
		}
		paper, err := chromedp.Run(ctx, chromedp.Evaluate[string](`getComputedStyle(document.body).backgroundColor`))
		if err != nil || paper != "rgb(255, 255, 255)" {
			t.Errorf("%s: printed on %s, %v", name, paper, err)
		}
	}
}

// TestBrowserObeysPolicy puts markup into a page as if it had got through, and demands that it does nothing.
func TestBrowserObeysPolicy(t *testing.T) {
	ctx := browser(t)
	heard := listen(t, ctx)
	var b strings.Builder
	if err := Report(&b, passing()); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "page.html")
	evil := `<main><script>document.title="pwned"</script><img src="http://127.0.0.1:9/x.png" onerror='document.title="pwned"'><style>body{display:none}</style>`
	if err := os.WriteFile(file, []byte(strings.Replace(b.String(), "<main>", evil, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, ctx, file)
	title, err := chromedp.Run(ctx, chromedp.Title())
	if err != nil || strings.Contains(title, "pwned") {
		t.Errorf("the page is called %q, %v: a script ran", title, err)
	}
	if shown, err := chromedp.Run(ctx, chromedp.Evaluate[string](`getComputedStyle(document.body).display`)); err != nil || shown == "none" {
		t.Errorf("display is %q, %v: a foreign style counts", shown, err)
	}
	complained := false
	for end := time.Now().Add(time.Minute); !complained && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		complained = len(heard()) > 0 // it says so a while after
	}
	if !complained {
		t.Error("the browser complained of nothing, so it knows no policy")
	}
}

// listen collects what a browser complains of, and what it asks for that is no file; the function returns and forgets it.
func listen(t *testing.T, ctx context.Context) func() []string {
	t.Helper()
	var mu sync.Mutex
	var said []string
	err := chromedp.Listen(ctx, func(ev any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := ev.(type) {
		case *log.EventEntryAdded:
			said = append(said, string(e.Entry.Level)+": "+e.Entry.Text)
		case *runtime.EventConsoleAPICalled:
			said = append(said, "console: "+string(e.Type))
		case *runtime.EventExceptionThrown:
			said = append(said, "exception: "+e.ExceptionDetails.Text)
		case *network.EventRequestWillBeSent:
			if !strings.HasPrefix(e.Request.URL, "file://") {
				said = append(said, "it asks for "+e.Request.URL)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, enable := range []func() error{
		func() error { return call(ctx, log.Enable, cdp.Empty{}) },
		func() error { return call(ctx, network.Enable, network.EnableParams{}) },
	} {
		if err := enable(); err != nil {
			t.Fatal(err)
		}
	}
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		was := said
		said = nil
		return was
	}
}

// call sends the browser a command whose answer is nothing.
func call[P, R any](ctx context.Context, c cdp.Command[P, R], params P) error {
	_, err := chromedp.Run(ctx, func(ctx context.Context, t *chromedp.Target) (R, error) { return cdp.Call(ctx, t, c, params) })
	return err
}

func open(t *testing.T, ctx context.Context, file string) {
	t.Helper()
	if err := chromedp.Do(ctx, chromedp.Navigate((&url.URL{Scheme: "file", Path: file}).String())); err != nil {
		t.Fatal(err)
	}
}

// show makes the screen so wide, and the person one who likes it light or dark.
func show(t *testing.T, ctx context.Context, width int64, scheme string) {
	t.Helper()
	err := call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, 900)); err != nil {
		t.Fatal(err)
	}
}

// tooWide names what sticks out of the page to the right, but for what is inside something that hides or scrolls it.
func tooWide(t *testing.T, ctx context.Context) string {
	t.Helper()
	wide, err := chromedp.Run(ctx, chromedp.Evaluate[string](`(() => {
		const width = document.documentElement.clientWidth
		const cut = e => { for (let p = e.parentElement; p; p = p.parentElement) if (getComputedStyle(p).overflowX != "visible") return true; return false }
		const out = [...document.body.querySelectorAll("*")].filter(e => e.getBoundingClientRect().right > width + 1 && !e.closest("svg") && !cut(e))
		if (document.documentElement.scrollWidth > width) out.push(document.documentElement)
		return out.slice(0, 3).map(e => e.outerHTML.slice(0, 120)).join("\n")
	})()`))
	if err != nil {
		t.Fatal(err)
	}
	return wide
}

// photograph keeps a picture of the whole page where somebody asked for pictures.
func photograph(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	if *shots == "" {
		return
	}
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil && strings.Contains(err.Error(), "too large") {
		t.Logf("%s is too long for a picture", name)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*shots, name+".png"), png, 0o600); err != nil {
		t.Fatal(err)
	}
}

// written is the page of a story, in a file.
func written(t *testing.T, name string, r evidence.Report) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name+".html")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := Report(f, r); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return file
}
