package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"greenroom/internal/problem"
)

// Protocol is the version of what is spoken on the socket. It grows when an older side could misunderstand a newer one.
const Protocol = 2

// The headers with which both sides say what they are.
const (
	headerAPI     = "Greenroom-Api"
	headerVersion = "Greenroom-Version"
)

// Limits of the server.
const (
	maxBody      = 8 << 20          // bytes of a body of JSON
	bodyPatience = 30 * time.Second // between two reads of a body
	headerTime   = 10 * time.Second
	idleTime     = 2 * time.Minute
	shutdownTime = 5 * time.Second // for answers under way when the server ends
)

// NewServer is the API over b as a handler. version is this Greenroom's. Bugs are logged to log, once, here.
func NewServer(b Backend, version string, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	s := &server{backend: b, log: log, api: humago.New(mux, config(version))}
	s.registerApps()
	s.registerRuns()
	s.registerViews()
	s.registerSecrets()
	s.registerTrust()
	s.registerData()
	return s.outer(version, mux)
}

type server struct {
	backend Backend
	log     *slog.Logger
	api     huma.API
}

// config is huma's, without the page that loads scripts from elsewhere and without links in the answers.
func config(version string) huma.Config {
	c := huma.DefaultConfig("Greenroom", version)
	c.DocsPath = ""
	c.SchemasPath = ""
	c.CreateHooks = nil
	c.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	c.Transformers = []huma.Transformer{translate}
	c.RejectUnknownQueryParameters = true
	return c
}

// schemaName names a schema by package and type: two packages may have a type of the same name.
func schemaName(t reflect.Type, hint string) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	name := huma.DefaultSchemaNamer(t, hint)
	pkg := t.PkgPath()[strings.LastIndex(t.PkgPath(), "/")+1:]
	if pkg == "" || pkg == "api" {
		return name
	}
	return strings.ToUpper(pkg[:1]) + pkg[1:] + name
}

// outer is what every request goes through: who speaks which version, patience with bodies, no panic without a word.
func (s *server) outer(version string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(headerAPI, strconv.Itoa(Protocol))
		w.Header().Set(headerVersion, version)
		defer s.recovered(w, r)
		if err := checkProtocol(r.Header, "this command", "the Greenroom that runs"); err != nil {
			s.answer(w, toWire(err))
			return
		}
		r.Body = &patientBody{ReadCloser: r.Body, control: http.NewResponseController(w)}
		next.ServeHTTP(w, r)
	})
}

// recovered answers and logs a panic, which is a bug.
func (s *server) recovered(w http.ResponseWriter, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler { //nolint:errorlint // the identity is what net/http compares
		panic(v)
	}
	s.log.Error("panic", "method", r.Method, "path", r.URL.Path, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	s.answer(w, toWire(problem.New(problem.Internal, "Greenroom has a fault; its log says more")))
}

func (s *server) answer(w http.ResponseWriter, p *Problem) {
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_ = huma.DefaultJSONFormat.Marshal(w, p) // a client that is gone needs no answer
}

// failed is the wire form of an error; one that is nobody's fault but ours is logged.
func (s *server) failed(op string, err error) *Problem {
	p := toWire(err)
	if p.Code == problem.Internal {
		s.log.Error("failed", "operation", op, "error", err)
	}
	return p
}

// checkProtocol compares the protocol of the other side, which sent these headers, with ours. One that sends none is
// not Greenroom's own client (curl, a script) and is welcome.
func checkProtocol(h http.Header, other, self string) error {
	got := h.Get(headerAPI)
	if got == "" || got == strconv.Itoa(Protocol) {
		return nil
	}
	return problem.New(problem.Unavailable, "%s is Greenroom %s and speaks API %s, %s speaks API %d",
		other, h.Get(headerVersion), got, self, Protocol).
		WithHint("greenroom down --control-plane && greenroom up")
}

// patientBody gives each read of a body its own deadline. It is taken away at the end of the body: net/http goes on
// reading to notice that a client is gone, and would take the deadline for that.
type patientBody struct {
	io.ReadCloser
	control *http.ResponseController
}

func (b *patientBody) Read(p []byte) (int, error) {
	_ = b.control.SetReadDeadline(time.Now().Add(bodyPatience)) // not every connection of a test has one
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// Serve answers on ln until ctx ends; then streams are cut, and other answers under way get a few seconds. It returns
// nil after ctx ended.
func Serve(ctx context.Context, ln net.Listener, h http.Handler) error {
	srv := &http.Server{
		Handler:           h,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       identify,
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // what clients do wrong
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	err := srv.Shutdown(late)
	if errors.Is(err, context.DeadlineExceeded) {
		err = srv.Close()
	}
	if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}
