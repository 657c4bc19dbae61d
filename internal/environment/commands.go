package environment

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/artifact"
	"greenroom/internal/check"
	"greenroom/internal/evidence"
	"greenroom/internal/home"
	"greenroom/internal/human"
	"greenroom/internal/problem"
	"greenroom/internal/proc"
	"greenroom/internal/redact"
	"greenroom/internal/release"
)

// jobOutput is how much of a job's and a migration's output is kept: its end.
const jobOutput = 16 << 10

// variables are those of a release in this environment. The database server runs when it returns.
func (e *Environment) variables(ctx context.Context, r release.Release) (variables, error) {
	v := variables{
		environment: e.Name, release: r.Digest(), contents: r.Contents, config: e.config(r.Contents),
		addresses: map[string]string{}, data: e.Data(),
	}
	var err error
	if v.resident, err = e.prepare(ctx); err != nil {
		return v, err
	}
	if v.network, err = e.network(ctx); err != nil {
		return v, err
	}
	if err := e.makeVolumes(r.Contents, v.resident); err != nil {
		return v, err
	}
	if v.secrets, err = e.secrets(ctx); err != nil {
		return v, err
	}
	for _, s := range r.Contents.Services {
		if !s.Released() || s.Port == 0 {
			continue
		}
		address, err := e.listen(ctx, e.internalRoute(s.Name, r.Digest()))
		if err != nil {
			return v, err
		}
		v.addresses[s.Name] = address[0]
	}
	db, err := e.Database(ctx, r)
	if err != nil || db == nil {
		return v, err
	}
	v.database = db.URL()
	if e.hasServer(r) {
		if v.addresses[e.serverName(r)], err = e.serverAddress(ctx, r); err != nil {
			return v, err
		}
	}
	return v, nil
}

// secretsFrom is the environment whose secrets this one has: a stage has those of the one that it is built like.
func (e *Environment) secretsFrom() string {
	if e.Stage {
		return e.like
	}
	return e.Name
}

// secrets are all that are set for the environment.
func (e *Environment) secrets(ctx context.Context) (map[string]string, error) {
	from := e.secretsFrom()
	names, err := e.world.Store.Secrets(ctx, e.App, from)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, n := range names {
		s, err := e.world.Store.Secret(ctx, e.App, from, n.Name)
		if err != nil {
			return nil, err
		}
		plain, err := e.world.Secrets.Open(s.Sealed)
		if err != nil {
			return nil, problem.New(problem.Unavailable, "the secret %s of %s can't be opened: %w", s.Name, from, err).
				WithHint("greenroom secret set %s --environment %s", s.Name, from)
		}
		out[s.Name] = string(plain)
	}
	return out, nil
}

// NeedSecrets says which of the secrets that a release names are not set here.
func (e *Environment) NeedSecrets(ctx context.Context, r release.Release) error {
	have, err := e.secrets(ctx)
	if err != nil {
		return err
	}
	if db := r.Contents.Database; e.Stage && db != nil && db.External {
		have[db.Variable] = "" // a stage has a server of its own in place of the one that is given
	}
	var missing []string
	for _, name := range r.Contents.SecretNames() {
		if _, ok := have[name]; !ok {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return problem.New(problem.Invalid, "%s has no value for the secret %s, which the release names", e.secretsFrom(), strings.Join(missing, " and ")).
		WithHint("greenroom secret set %s --environment %s", missing[0], e.secretsFrom())
}

// redact takes secret values out of what a process printed.
func (v variables) redact(s string) string {
	return redact.New(v.secretValues()...).String(s)
}

func (v variables) secretValues() []string {
	values := make([]string, 0, len(v.secrets))
	for _, s := range v.secrets {
		values = append(values, s)
	}
	return values
}

// Seed fills a fresh database with what the definition gives for environments other than production.
func (e *Environment) Seed(ctx context.Context, r release.Release, run string) error {
	m := r.Contents.Migrations
	if m == nil || m.Seed == "" {
		return nil
	}
	failed, output, err := e.command(ctx, r, m.Seed, map[string]string{"PGAPPNAME": migratorName(run)}, m.Timeout)
	if err != nil {
		return err
	}
	if failed != "" {
		return problem.New(problem.Fail, "seeding the database of %s: %s\n%s", e.Name, failed, output)
	}
	return nil
}

// command runs a shell command of the release with the variables of its service. failed says why it did not work.
func (e *Environment) command(ctx context.Context, r release.Release, line string, more map[string]string, timeout time.Duration) (failed, output string, err error) {
	service, ok := r.Contents.Service(r.Contents.Migrations.Service)
	if !ok {
		return "", "", problem.New(problem.Invalid, "migrations of %s name no service whose files they are in", e.App)
	}
	v, err := e.variables(ctx, r)
	if err != nil {
		return "", "", err
	}
	if service.Kind == app.KindContainer {
		return e.containerCommand(ctx, r, service, v, line, more, timeout)
	}
	dir, err := e.Files(ctx, r, service.Name)
	if err != nil {
		return "", "", err
	}
	env, sweep := e.world.marked(v.of(service))
	defer sweep()
	addTo(env, more)
	out := proc.NewTail(jobOutput)
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	exit, err := proc.Run(limited, proc.Command{
		Argv: proc.Shell(line), Dir: filepath.Join(dir, service.Dir), Env: list(env), Stdout: out, Stderr: out, User: v.resident.Name,
		Network: v.network,
	})
	output = v.redact(out.String())
	switch {
	case ctx.Err() != nil:
		return "", output, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("%q did not end within %s", line, human.Duration(timeout)), output, nil
	case err != nil:
		return err.Error(), output, nil
	case !exit.OK():
		return fmt.Sprintf("%q: %s", line, exit), output, nil
	}
	return "", output, nil
}

// addTo adds variables of a command's own to those of its service.
func addTo(env, more map[string]string) {
	options := env[pgOptions]
	maps.Copy(env, more)
	if options != "" && more[pgOptions] != "" {
		env[pgOptions] = options + " " + more[pgOptions] // the service's search_path, for one, stays
	}
}

// Check runs a check of a release against an address of this environment, in a working folder of its own.
func (e *Environment) Check(ctx context.Context, r release.Release, c app.Check, address, run string) (evidence.Result, error) {
	v, err := e.variables(ctx, r)
	if err != nil {
		return evidence.Result{}, err
	}
	dir, err := os.MkdirTemp(e.world.Home.Runs(), fmt.Sprintf("%s-%s-%s-", e.App, run, c.Name))
	if err != nil {
		return evidence.Result{}, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // it is looked through again at the next start
	work := filepath.Join(dir, "work")
	if err := e.checkFiles(ctx, r, work); err != nil {
		return evidence.Result{}, err
	}
	if v.resident != nobody {
		if err := home.Give(dir, v.resident.UID, v.resident.GID); err != nil {
			return evidence.Result{}, err
		}
	}
	if v.database, err = e.reachable(ctx, r, v.database); err != nil {
		return evidence.Result{}, err
	}
	env, sweep := e.world.marked(v.forCheck(address))
	defer sweep()
	env["HOME"], env["TMPDIR"] = dir, dir
	return check.Run(ctx, check.Request{Check: c, Dir: work, Env: list(env), Secrets: v.secretValues(), User: v.resident.Name, Network: v.network}), nil
}

// checkFiles unpacks the checks' files where they may write their reports.
func (e *Environment) checkFiles(ctx context.Context, r release.Release, dir string) error {
	if _, ok := r.Files[artifact.Checks]; !ok {
		return os.Mkdir(dir, 0o755)
	}
	if err := e.world.Artifacts.Unpack(ctx, r.Digest(), artifact.Checks, dir); err != nil {
		return err
	}
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return os.Chmod(name, info.Mode().Perm()|0o200)
	})
}
