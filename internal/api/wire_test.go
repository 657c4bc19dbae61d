package api

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"log/slog"

	"greenroom/internal/problem"
)

func handler(t *testing.T, f *fake) http.Handler {
	return NewServer(f, "1.2.3", slog.New(slog.NewTextHandler(t.Output(), nil)))
}

func ask(t *testing.T, h http.Handler, method, path, contentType string, body io.Reader) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, path, body)
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func TestOpenAPI(t *testing.T) {
	h := handler(t, &fake{})
	res := ask(t, h, "GET", "/openapi.json", "", nil)
	var doc struct {
		OpenAPI    string
		Paths      map[string]map[string]struct{ OperationID string }
		Components struct{ Schemas map[string]any }
	}
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1.") {
		t.Errorf("OpenAPI %s", doc.OpenAPI)
	}
	var ids []string
	for _, ops := range doc.Paths {
		for _, op := range ops {
			ids = append(ids, op.OperationID)
		}
	}
	if want := reflect.TypeFor[Backend]().NumMethod(); len(ids) != want {
		slices.Sort(ids)
		t.Errorf("%d routes for %d methods: %v", len(ids), want, ids)
	}
	for _, ref := range strings.Split(string(raw), `"$ref":"`)[1:] {
		ref, _, _ = strings.Cut(ref, `"`)
		name, ok := strings.CutPrefix(ref, "#/components/schemas/")
		if _, known := doc.Components.Schemas[name]; !ok || !known {
			t.Errorf("%s leads nowhere", ref)
		}
	}
	if res := ask(t, h, "GET", "/docs", "", nil); res.StatusCode != http.StatusNotFound {
		t.Errorf("/docs answers %d", res.StatusCode)
	}
}

func TestProblemDocument(t *testing.T) {
	f := &fake{err: problem.New(problem.Blocked, "no").WithHint("greenroom explain")}
	res := ask(t, handler(t, f), "GET", "/v1/status", "", nil)
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"title":"Conflict","status":409,"detail":"no","code":"blocked","hint":"greenroom explain"}`
	if got := strings.TrimSpace(string(b)); got != want || res.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s %s", res.Header.Get("Content-Type"), got)
	}
}

func TestFaultyRequests(t *testing.T) {
	const secret = "hunter2"
	for _, c := range []struct{ name, method, path, contentType, body string }{
		{"unknown parameter", "GET", "/v1/status?nope=" + secret, "", ""},
		{"not a number", "GET", "/v1/apps/a/releases?limit=" + secret, "", ""},
		{"no name", "GET", "/v1/apps/a/release", "", ""},
		{"unknown member", "POST", "/v1/runs", "application/json", `{"kind":"promotion","app":"a","` + secret + `":1}`},
		{"wrong type", "POST", "/v1/runs", "application/json", `{"kind":1,"app":{"x":"` + secret + `"}}`},
		{"not JSON", "POST", "/v1/runs", "application/json", `{` + secret},
		{"too large", "POST", "/v1/runs", "application/json", `{"kind":"` + strings.Repeat("x", maxBody) + `"}`},
		{"not multipart", "POST", "/v1/releases", "text/plain", secret},
		{"no parts", "POST", "/v1/releases", "multipart/form-data; boundary=b", "--b--\r\n"},
		{"parts in another order", "POST", "/v1/releases", "multipart/form-data; boundary=b",
			"--b\r\nContent-Disposition: form-data; name=\"layout\"\r\n\r\nx\r\n--b--\r\n"},
		{"no digest", "POST", "/v1/releases", "multipart/form-data; boundary=b",
			"--b\r\nContent-Disposition: form-data; name=\"info\"\r\n\r\n{\"digest\":\"x\"}\r\n--b--\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fake{}
			res := ask(t, handler(t, f), c.method, c.path, c.contentType, strings.NewReader(c.body))
			var p Problem
			if err := json.NewDecoder(res.Body).Decode(&p); err != nil {
				t.Fatal(err)
			}
			if p.Code != problem.Invalid || p.Detail == "" || res.StatusCode/100 != 4 {
				t.Errorf("%d %+v", res.StatusCode, p)
			}
			if c.name != "unknown member" && strings.Contains(p.Detail, secret) {
				t.Errorf("a value is echoed: %s", p.Detail)
			}
			if len(f.calls) != 0 {
				t.Errorf("the backend was asked: %v", f.calls)
			}
			t.Log(p.Detail[:min(len(p.Detail), 200)])
		})
	}
}

func TestProtocols(t *testing.T) {
	h := handler(t, &fake{})
	r := httptest.NewRequest("GET", "/v1/status", nil)
	r.Header.Set(headerAPI, "99")
	r.Header.Set(headerVersion, "9.9.9")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	p := readProblem(w.Code, w.Body)
	if p.Code != problem.Unavailable || !strings.Contains(p.Message, "9.9.9") || !strings.Contains(p.Hint, "greenroom up") {
		t.Errorf("a newer command is told %+v", p)
	}
	if err := checkProtocol(w.Header(), "a", "b"); err != nil {
		t.Errorf("our own headers: %v", err)
	}
}

func TestStrangeAnswers(t *testing.T) {
	p := readProblem(502, strings.NewReader("<html>"))
	if p.Code != problem.Internal || !strings.Contains(p.Message, "502") {
		t.Errorf("%+v", p)
	}
	s := readStream[Event](io.NopCloser(strings.NewReader("event: item\ndata: {broken\n\n")))
	if _, err := collect(s); problem.From(err).Code != problem.Internal {
		t.Errorf("%v", err)
	}
}
