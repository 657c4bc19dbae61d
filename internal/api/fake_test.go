package api

import (
	"context"
	"encoding/json"
	"io"
	"reflect"
	"strings"
	"sync"
	"time"

	"greenroom/internal/evidence"
	"greenroom/internal/mask"
	"greenroom/internal/release"
)

// fake answers every method with filled values, or with err, and remembers what it was asked.
type fake struct {
	mu    sync.Mutex
	calls []asked
	err   error // what every method returns
	late  error // what every stream ends with
	hold  bool  // streams go on until their context ends
	ended chan struct{}
	panic bool
}

type asked struct {
	Method string
	Args   []any
	Actor  string
}

var _ Backend = (*fake)(nil)

func (f *fake) record(ctx context.Context, method string, args ...any) error {
	if f.panic {
		panic("a bug")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, asked{Method: method, Args: args, Actor: Actor(ctx)})
	return f.err
}

func (f *fake) last() asked {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[len(f.calls)-1]
}

func fakeStream[T any](ctx context.Context, f *fake, err error) (Stream[T], error) {
	if err != nil {
		return nil, err
	}
	return func(yield func(T, error) bool) {
		if f.ended != nil {
			defer close(f.ended)
		}
		for range 3 {
			if !yield(filled[T](), nil) {
				return
			}
		}
		if f.hold {
			<-ctx.Done()
			return
		}
		if f.late != nil {
			var zero T
			yield(zero, f.late)
		}
	}, nil
}

func (f *fake) Copies(ctx context.Context, app, environment string, kind CopyKind) ([]CopyView, error) {
	return filled[[]CopyView](), f.record(ctx, "Copies", app, environment, kind)
}

func (f *fake) TakeCopy(ctx context.Context, r CopyRequest) (Stream[Event], error) {
	return fakeStream[Event](ctx, f, f.record(ctx, "TakeCopy", r))
}

func (f *fake) VerifyCopy(ctx context.Context, r CopyRequest) (Stream[Event], error) {
	return fakeStream[Event](ctx, f, f.record(ctx, "VerifyCopy", r))
}

func (f *fake) ExportCopy(ctx context.Context, r CopyRequest) (io.ReadCloser, error) {
	return f.archive(f.record(ctx, "ExportCopy", r))
}

func (f *fake) ImportCopy(ctx context.Context, app string, archive io.Reader) (CopyView, error) {
	b, err := io.ReadAll(archive)
	if err != nil {
		return CopyView{}, err
	}
	return filled[CopyView](), f.record(ctx, "ImportCopy", app, string(b))
}

func (f *fake) RemoveCopy(ctx context.Context, r CopyRequest) error {
	return f.record(ctx, "RemoveCopy", r)
}

func (f *fake) Database(ctx context.Context, app, environment string) (DatabaseView, error) {
	return filled[DatabaseView](), f.record(ctx, "Database", app, environment)
}

func (f *fake) Version(ctx context.Context) (Version, error) {
	return Version{Version: "1.2.3", API: Protocol, PID: 1}, f.record(ctx, "Version")
}

func (f *fake) Register(ctx context.Context, r Registration) (Registered, error) {
	return filled[Registered](), f.record(ctx, "Register", r)
}

func (f *fake) Up(ctx context.Context, r EnvironmentsRequest) (Stream[Event], error) {
	return fakeStream[Event](ctx, f, f.record(ctx, "Up", r))
}

func (f *fake) Down(ctx context.Context, r EnvironmentsRequest) (Stream[Event], error) {
	return fakeStream[Event](ctx, f, f.record(ctx, "Down", r))
}

func (f *fake) Import(ctx context.Context, info ReleaseInfo, layout io.Reader) (ReleaseView, error) {
	b, err := io.ReadAll(layout)
	if err != nil {
		return ReleaseView{}, err
	}
	return filled[ReleaseView](), f.record(ctx, "Import", info, string(b))
}

func (f *fake) Packed(ctx context.Context, app, image string) (release.Artifact, error) {
	return filled[release.Artifact](), f.record(ctx, "Packed", app, image)
}

func (f *fake) Releases(ctx context.Context, app string, limit int) ([]ReleaseView, error) {
	return filled[[]ReleaseView](), f.record(ctx, "Releases", app, limit)
}

func (f *fake) Resolve(ctx context.Context, app, name string) (ReleaseView, error) {
	return filled[ReleaseView](), f.record(ctx, "Resolve", app, name)
}

func (f *fake) Plan(ctx context.Context, r RunRequest) (PlanView, error) {
	return filled[PlanView](), f.record(ctx, "Plan", r)
}

func (f *fake) Start(ctx context.Context, r RunRequest) (RunView, error) {
	return filled[RunView](), f.record(ctx, "Start", r)
}

func (f *fake) Run(ctx context.Context, id string) (RunView, error) {
	return filled[RunView](), f.record(ctx, "Run", id)
}

func (f *fake) Events(ctx context.Context, id string, after int64) (Stream[Event], error) {
	return fakeStream[Event](ctx, f, f.record(ctx, "Events", id, after))
}

func (f *fake) Cancel(ctx context.Context, id string) error { return f.record(ctx, "Cancel", id) }

func (f *fake) Report(ctx context.Context, app, name string) (evidence.Report, error) {
	return filled[evidence.Report](), f.record(ctx, "Report", app, name)
}

func (f *fake) Explain(ctx context.Context, app, rel, env string) (Explanation, error) {
	return filled[Explanation](), f.record(ctx, "Explain", app, rel, env)
}

func (f *fake) Status(ctx context.Context, app string) (StatusView, error) {
	return filled[StatusView](), f.record(ctx, "Status", app)
}

func (f *fake) History(ctx context.Context, q HistoryQuery) ([]HistoryEntry, error) {
	return filled[[]HistoryEntry](), f.record(ctx, "History", q)
}

func (f *fake) Logs(ctx context.Context, q LogQuery) (Stream[LogLine], error) {
	return fakeStream[LogLine](ctx, f, f.record(ctx, "Logs", q))
}

func (f *fake) Diff(ctx context.Context, app, a, b string) (DiffView, error) {
	return filled[DiffView](), f.record(ctx, "Diff", app, a, b)
}

func (f *fake) Shape(ctx context.Context, app, env string) (mask.Shape, error) {
	return filled[mask.Shape](), f.record(ctx, "Shape", app, env)
}

func (f *fake) SecretSet(ctx context.Context, s SecretName, value []byte) error {
	return f.record(ctx, "SecretSet", s, value)
}

func (f *fake) SecretList(ctx context.Context, app, env string) ([]SecretView, error) {
	return filled[[]SecretView](), f.record(ctx, "SecretList", app, env)
}

func (f *fake) SecretRemove(ctx context.Context, s SecretName) error {
	return f.record(ctx, "SecretRemove", s)
}

func (f *fake) Shutdown(ctx context.Context) error { return f.record(ctx, "Shutdown") }

func (f *fake) Apply(ctx context.Context, r Registration, dry bool) (Applied, error) {
	return filled[Applied](), f.record(ctx, "Apply", r, dry)
}

func (f *fake) Bundle(ctx context.Context, app, rel string) (io.ReadCloser, error) {
	return f.archive(f.record(ctx, "Bundle", app, rel))
}

func (f *fake) StateBackup(ctx context.Context) (io.ReadCloser, error) {
	return f.archive(f.record(ctx, "StateBackup"))
}

func (f *fake) archive(err error) (io.ReadCloser, error) {
	if err != nil {
		return nil, err
	}
	return io.NopCloser(io.MultiReader(strings.NewReader(bundleText), failing{f.late})), nil
}

// bundleText is what a bundle holds here: more than fits into one buffer.
var bundleText = strings.Repeat("a bundle ", 10_000)

// failing is a reader that ends with err, or with the end where there is none.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err == nil {
		return 0, io.EOF
	}
	return 0, f.err
}

func (f *fake) Take(ctx context.Context, app string, bundle io.Reader) (Taken, error) {
	b, err := io.ReadAll(bundle)
	if err != nil {
		return Taken{}, err
	}
	return filled[Taken](), f.record(ctx, "Take", app, string(b))
}

func (f *fake) Evidence(ctx context.Context, app, rel string) (EvidenceList, error) {
	return filled[EvidenceList](), f.record(ctx, "Evidence", app, rel)
}

func (f *fake) Standing(ctx context.Context, app, env string) ([]byte, error) {
	return filled[[]byte](), f.record(ctx, "Standing", app, env)
}

func (f *fake) TakeStanding(ctx context.Context, app string, envelope []byte) (StandingView, error) {
	return filled[StandingView](), f.record(ctx, "TakeStanding", app, envelope)
}

func (f *fake) Keys(ctx context.Context, app string) ([]KeyView, error) {
	return filled[[]KeyView](), f.record(ctx, "Keys", app)
}

func (f *fake) RotateKey(ctx context.Context, because string) (KeyView, error) {
	return filled[KeyView](), f.record(ctx, "RotateKey", because)
}

func (f *fake) RevokeKey(ctx context.Context, id evidence.KeyID, because string) (Revoked, error) {
	return filled[Revoked](), f.record(ctx, "RevokeKey", id, because)
}

func (f *fake) Log(ctx context.Context, after int64) (Stream[evidence.Entry], error) {
	return fakeStream[evidence.Entry](ctx, f, f.record(ctx, "Log", after))
}

func (f *fake) Anchor(ctx context.Context) (Anchor, error) {
	return filled[Anchor](), f.record(ctx, "Anchor")
}

func (f *fake) Review(ctx context.Context, run, because string) error {
	return f.record(ctx, "Review", run, because)
}

// filled is a T in which nothing is zero, so that a field that does not travel is noticed.
func filled[T any]() T {
	var v T
	n := 0
	fill(reflect.ValueOf(&v).Elem(), &n)
	return v
}

func fill(v reflect.Value, n *int) {
	*n++
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Date(2026, 1, 2, 3, 4, *n%60, 5, time.UTC)))
		return
	case json.RawMessage:
		v.SetBytes([]byte(`{"a":1}`))
		return
	case mask.Rule: // it holds rules itself
		v.Set(reflect.ValueOf(mask.Rule{Use: "array", Value: "v", Low: "1", High: "2", Shift: "3d", Of: &mask.Rule{Use: "text"},
			Paths: map[string]mask.Rule{"$.a": {Use: "keep"}}}))
		return
	case release.Digest:
		v.SetString(string(release.Of([]byte{byte(*n)})))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Tag.Get("json") != "-" {
				fill(v.Field(i), n)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), n)
	case reflect.Map:
		key, item := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, n)
		fill(item, n)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, item)
	case reflect.String:
		v.SetString("a/ü?& " + string(rune('a'+*n%26)))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Float64:
		v.SetFloat(float64(*n) / 2)
	case reflect.Uint8:
		v.SetUint(uint64(*n % 256))
	default:
		panic("nothing to fill a " + v.Type().String())
	}
}
