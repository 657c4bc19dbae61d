package edge

import (
	"cmp"
	"html"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// refuse answers in the application's place, as a page for people and a line for programs.
func refuse(w http.ResponseWriter, r *http.Request, status int, why string, retry time.Duration) {
	h := w.Header()
	delete(h, "Set-Cookie")
	h["Cache-Control"] = []string{"no-store"}
	if retry > 0 {
		h["Retry-After"] = []string{strconv.FormatInt(int64((retry+time.Second-1)/time.Second), 10)}
	}
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		h["Content-Type"] = []string{"text/plain; charset=utf-8"}
		write(w, status, why+"\n")
		return
	}
	h["Content-Type"] = []string{"text/html; charset=utf-8"}
	write(w, status, `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">`+
		`<title>`+http.StatusText(status)+`</title><style>body{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:20vh auto;padding:0 1rem}</style>`+
		`<h1>`+http.StatusText(status)+`</h1><p>`+html.EscapeString(why)+`</p></html>`+"\n")
}

func write(w http.ResponseWriter, status int, body string) {
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body)) // a client that went away needs no page
}

// answer is the maintenance page.
func (m *Maintenance) answer(w http.ResponseWriter, r *http.Request) {
	why, retry := cmp.Or(m.Message, "This service is being updated and will be back soon."), m.RetryAfter
	if !m.Until.IsZero() {
		why += " It is expected back at " + m.Until.UTC().Format("15:04 MST") + "."
		if retry == 0 {
			retry = max(time.Until(m.Until), time.Second)
		}
	}
	refuse(w, r, http.StatusServiceUnavailable, why, retry)
}
