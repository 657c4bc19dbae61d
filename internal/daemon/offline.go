package daemon

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"greenroom/internal/api"
	"greenroom/internal/artifact"
	"greenroom/internal/check"
	"greenroom/internal/cli"
	"greenroom/internal/definition"
	"greenroom/internal/driver/process"
	"greenroom/internal/evidence"
	"greenroom/internal/gate"
	"greenroom/internal/home"
	"greenroom/internal/key"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/release"
	"greenroom/internal/service"
	"greenroom/internal/web"
)

// daemonStart is how long a daemon may take until it answers.
const daemonStart = time.Minute

// Program is this program: its version, and where it lies.
type Program struct {
	Version      string
	Path         string
	FirstAddress int // see Options
}

// Deps are what the commands get handed in: what works without the daemon, and the processes that the program can be.
func (p Program) Deps() cli.Deps {
	return cli.Deps{
		Version:       p.Version,
		AppName:       appName,
		Load:          p.Load,
		Draft:         draft,
		Schema:        schema,
		MaskFile:      maskFile,
		AddRules:      definition.AddRules,
		DatabaseShape: databaseShape,
		Commit:        commit,
		Build:         p.Build,
		TrustKey:      trustKey,
		PushBundle:    pushBundle,
		PullBundle:    pullBundle,
		RotateBuilder: rotateBuilder,
		BuilderKey:    builderKey,
		RestoreState:  p.RestoreState,
		ReportPage:    web.Report,
		EnsureDaemon:  p.EnsureDaemon,
		Daemon: func(ctx context.Context, h home.Home, args []string) error {
			return Run(ctx, Options{Home: h, Version: p.Version, Program: p.Path, Log: logger(os.Stderr), Service: asService(args), FirstAddress: p.FirstAddress})
		},
		Edge:    p.runEdge,
		Service: p.service(),
		Supervise: func(ctx context.Context, _ home.Home, args []string) error {
			if len(args) != 1 {
				return problem.New(problem.Invalid, "supervise takes the folder of one replica")
			}
			return process.Supervise(ctx, args[0], os.Stdin, os.Stdout)
		},
		Network: runNetwork,
	}
}

func logger(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

func appName(dir string) (string, error) {
	repository, err := findRepository(dir)
	if err != nil {
		return "", err
	}
	return definition.AppName(repository)
}

// Load reads the definition in dir or in a folder above it.
func (p Program) Load(ctx context.Context, dir string) (cli.Definition, error) {
	repository, err := findRepository(dir)
	if err != nil {
		return cli.Definition{}, err
	}
	a, notices, err := definition.Load(ctx, repository, definition.Options{Lookup: os.LookupEnv})
	d := cli.Definition{App: a, Dir: repository}
	for _, n := range notices {
		d.Notices = append(d.Notices, n.String())
	}
	return d, err
}

// findRepository is the nearest folder with a definition, from dir upwards.
func findRepository(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for at := abs; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, definition.FileName)); err == nil {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", problem.New(problem.NotFound, "there is no %s in %s or above it", definition.FileName, abs).
				WithHint("greenroom init, in a folder with a compose.yaml")
		}
	}
}

func draft(ctx context.Context, dir string) (cli.Draft, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return cli.Draft{}, err
	}
	d, err := definition.Init(ctx, abs, engineAnswers)
	if err != nil {
		return cli.Draft{}, err
	}
	out := cli.Draft{File: filepath.Join(abs, definition.FileName), Content: []byte(d.GreenroomYAML)}
	if d.NoEngine {
		out.Findings = append(out.Findings, cli.Finding{Subject: "driver", Runs: true, Text: "no Docker Engine answers, so services are to be plain processes; " +
			"for containers start the Engine, or set DOCKER_HOST, then greenroom init --force"})
	}
	for _, f := range d.Findings {
		if f.Status != definition.Stays { // a notice tells of these
			out.Findings = append(out.Findings, finding(f))
		}
	}
	for _, n := range d.Notices {
		out.Findings = append(out.Findings, cli.Finding{Subject: fmt.Sprintf("%s:%d", n.File, n.Line), Runs: true, Text: strings.TrimSuffix(n.What+"; "+n.Instead, "; ")})
	}
	return out, nil
}

func finding(f definition.Finding) cli.Finding {
	out := cli.Finding{Subject: "service " + f.Service, Runs: f.Status != definition.Cannot, Text: f.Why}
	if f.Service == "" {
		out.Subject = f.File
	}
	switch {
	case f.Add != "":
		out.Add, out.File, out.Line, out.Replaces = f.Add, f.File, f.Line, f.Replaces
	case !out.Runs && f.Line > 0: // nothing to copy, so the line is what a person looks for
		out.File, out.Line = f.File, f.Line
		out.Subject = fmt.Sprintf("%s:%d", f.File, f.Line)
		if f.Service != "" {
			out.Subject += ", service " + f.Service
		}
	}
	return out
}

// commit asks git what a ref means.
func commit(ctx context.Context, dir, ref string) (string, error) {
	out, err := git(ctx, dir, "rev-parse", "--verify", "--quiet", "--end-of-options", ref+"^{commit}")
	if err != nil || out == "" {
		return "", problem.New(problem.NotFound, "%q is no git ref of %s", ref, dir)
	}
	return out, nil
}

func git(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...)
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}

// Build makes a release out of a repository, as the caller, and runs its checks at build.
func (p Program) Build(ctx context.Context, d cli.Definition, tell func(api.Event)) (cli.Built, error) {
	h, err := home.Own() // also where the daemon is the machine's: the key is this user's
	if err != nil {
		return cli.Built{}, err
	}
	images, leave, err := imagesFor(d.App.Contents, cmp.Or(d.Home, h))
	if err != nil {
		return cli.Built{}, err
	}
	defer leave() //nolint:errcheck // only the connection
	started := time.Now().UTC()
	steps := &buildSteps{tell: tell}
	built, err := artifact.Build(ctx, artifact.BuildOptions{
		Repository: d.Dir, App: d.App, Env: os.Environ(), State: string(h), Images: images, Given: d.Images, Packed: d.Packed,
		Progress: func(s artifact.Step) { steps.begin(s.Name, s.Says) },
	})
	if err != nil {
		steps.end(plan.Failed, "")
		return cli.Built{}, err
	}
	steps.end(plan.Done, "")
	info := origin(ctx, d)
	info.Digest = built.Release.Digest()
	signer, err := builder(h)
	if err != nil {
		return cli.Built{}, errors.Join(err, built.Close())
	}
	info.Builder = evidence.FormatPublic(signer.Public())
	if err := p.signOrigin(&info, started, signer); err != nil {
		return cli.Built{}, errors.Join(err, built.Close())
	}
	var statements []evidence.Statement
	for _, c := range d.App.Contents.Checks {
		if !c.AtBuild {
			continue
		}
		steps.begin(c.Name, "check "+c.Name+": "+c.Run)
		result := check.Run(ctx, check.Request{Check: c, Dir: d.Dir, Env: os.Environ()})
		if err := ctx.Err(); err != nil {
			return cli.Built{}, errors.Join(err, built.Close())
		}
		steps.end(stateOf(result.Verdict), result.Summary)
		found := statement(info, result)
		envelope, err := evidence.Seal(found, signer)
		if err != nil {
			return cli.Built{}, errors.Join(err, built.Close())
		}
		statements = append(statements, found)
		info.Evidence = append(info.Evidence, envelope)
	}
	return cli.Built{Info: info, Statements: statements, Layout: stream(ctx, built)}, nil
}

// builder signs what this user builds.
func builder(h home.Home) (evidence.Signer, error) {
	ring, err := key.Open(h.Builder())
	if err != nil {
		return evidence.Signer{}, err
	}
	return ring.Signer(), nil
}

// signOrigin says where a release came from.
func (p Program) signOrigin(info *api.ReleaseInfo, started time.Time, by evidence.Signer) error {
	envelope, err := evidence.SealProvenance(evidence.Provenance{
		App: info.App, Release: info.Digest, Commit: info.Commit, Ref: info.Ref, Dirty: info.Dirty,
		Builder: info.By, Version: p.Version, Started: started, Ended: time.Now().UTC(),
	}, by)
	info.Evidence = append(info.Evidence, envelope)
	return err
}

// buildSteps tells a build's progress as events: one step ends where the next begins.
type buildSteps struct {
	tell func(api.Event)
	name string
}

func (b *buildSteps) begin(name, says string) {
	b.end(plan.Done, "")
	b.name = name
	b.tell(api.Event{Step: name, State: plan.Started, Text: says, At: time.Now()})
}

func (b *buildSteps) end(s plan.State, text string) {
	if b.name != "" {
		b.tell(api.Event{Step: b.name, State: s, Text: text, At: time.Now()})
	}
	b.name = ""
}

func stateOf(v evidence.Verdict) plan.State {
	if v == evidence.Pass {
		return plan.Done
	}
	return plan.Failed
}

// origin is what is told about a release beside its contents.
func origin(ctx context.Context, d cli.Definition) api.ReleaseInfo {
	info := api.ReleaseInfo{App: d.App.Name, BuiltAt: time.Now().UTC(), By: "unknown"}
	if u, err := user.Current(); err == nil {
		info.By = u.Username
	}
	id, err := git(ctx, d.Dir, "rev-parse", "HEAD")
	if err != nil {
		return info // no repository, or no git: then there is no commit to tell
	}
	info.Commit = id
	if ref, err := git(ctx, d.Dir, "describe", "--tags", "--exact-match"); err == nil {
		info.Ref = ref
	} else if ref, err := git(ctx, d.Dir, "rev-parse", "--abbrev-ref", "HEAD"); err == nil {
		info.Ref = ref
	}
	status, err := git(ctx, d.Dir, "status", "--porcelain", "--untracked-files=no", "--", ".")
	info.Dirty = err != nil || status != ""
	return info
}

func statement(info api.ReleaseInfo, r evidence.Result) evidence.Statement {
	s := evidence.Statement{App: info.App, Release: info.Digest, Environment: "build", Run: gate.BuildRun, Result: r, At: time.Now().UTC()}
	// Every run of a check is a statement of its own, and the newest counts.
	s.ID = string(release.Of([]byte(fmt.Sprint(s.App, s.Release, r.Check, s.At.UnixNano()))))
	return s
}

// stream is a release as the archive that the daemon takes. Closing it throws the release away.
func stream(ctx context.Context, b artifact.Built) io.ReadCloser {
	r, w := io.Pipe()
	go func() { w.CloseWithError(b.Export(ctx, w)) }()
	return layout{PipeReader: r, built: b}
}

type layout struct {
	*io.PipeReader
	built artifact.Built
}

// Close is io.Closer's.
func (l layout) Close() error { return errors.Join(l.PipeReader.Close(), l.built.Close()) }

// EnsureDaemon starts the daemon of a state folder when none runs, and returns when it answers.
func (p Program) EnsureDaemon(ctx context.Context, h home.Home) error {
	c, err := api.Dial(ctx, h.Socket(), p.Version)
	if err == nil {
		c.Close()
		return nil
	}
	if problem.From(err).Code != problem.Unavailable {
		return err
	}
	if service.Installed(string(h)) {
		return service.Start(ctx, service.ControlPlane)
	}
	if err := h.Make(); err != nil {
		return err
	}
	log, err := openLog(h.Log())
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // the daemon has its own descriptor
	before, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	cmd := exec.Command(p.Path, "--home", string(h), "daemon")
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.Env = "/", log, log, inherited(os.Environ())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return problem.New(problem.Unavailable, "the daemon can't be started: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	ctx, cancel := context.WithTimeout(ctx, daemonStart)
	defer cancel()
	return awaitDaemon(ctx, h, p.Version, ended, func() string { return since(log, before) })
}

// logLimit is how large a log may be when it is opened; one that is larger is put aside, in place of the one before.
const logLimit = 8 << 20

// openLog opens the log of a process that is about to start.
func openLog(name string) (*os.File, error) {
	if info, err := os.Stat(name); err == nil && info.Size() > logLimit {
		if err := os.Rename(name, name+".1"); err != nil {
			return nil, problem.New(problem.Unavailable, "the log can't be put aside: %w", err)
		}
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return nil, problem.New(problem.Unavailable, "the log can't be written: %w", err)
	}
	return f, nil
}

// Gone says whether no daemon holds the state folder any more.
func (p Program) Gone(h home.Home) bool {
	release, err := takeFolder(h)
	if err != nil {
		return false
	}
	return release() == nil
}

// awaitDaemon returns once the daemon answers, or with what it said when it ended instead.
func awaitDaemon(ctx context.Context, h home.Home, version string, ended <-chan error, said func() string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := api.Dial(ctx, h.Socket(), version)
		if err == nil {
			c.Close()
			return nil
		}
		select {
		case end := <-ended:
			return problem.New(problem.Unavailable, "the daemon ended at once (%v): %s", end, said()).WithHint("see %s", h.Log())
		case <-ctx.Done():
			return problem.New(problem.Unavailable, "the daemon does not answer: %w", err).WithHint("see %s", h.Log())
		case <-tick.C:
		}
	}
}

// since is what was written to the log after that place, its last lines.
func since(log *os.File, from int64) string {
	b, err := io.ReadAll(io.NewSectionReader(log, from, 1<<20))
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-5):], []byte("\n")))
}
