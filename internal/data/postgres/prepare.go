package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"greenroom/internal/atomicfile"
	"greenroom/internal/home"
	"greenroom/internal/problem"
)

// Prepare makes the server's folder ready for Command. It can be called at any time, any number of times, also while the
// server runs; a kill in the middle of an earlier one is repaired. A closed folder on the way to Dir, or data of
// another major version, is a problem that says what to do.
func (s Server) Prepare(ctx context.Context) error {
	steps := []func(context.Context) error{
		s.makeFolder, s.reachable, s.initialise, s.own, s.sameVersion, s.writeRules, s.makeSockets, s.clearStale,
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// makeFolder makes Dir. It stays the daemon's own also where the server runs as another user, who may only pass through:
// what that user can write, it could swap under us.
func (s Server) makeFolder(context.Context) error {
	perm := fs.FileMode(0o700)
	if s.User != "" {
		perm = 0o711
	}
	if err := os.MkdirAll(s.Dir, perm); err != nil {
		return err
	}
	return os.Chmod(s.Dir, perm)
}

// reachable finds out whether the server's user can get to its folder and its programs.
func (s Server) reachable(ctx context.Context) error {
	if s.User == "" {
		return nil
	}
	for _, dir := range []string{s.Dir, s.Programs.Bin} {
		if err := passable(ctx, s.User, dir); err != nil {
			return err
		}
	}
	return nil
}

// initialise makes the data folder with initdb, under another name first: a data folder that has its name is whole.
func (s Server) initialise(ctx context.Context) error {
	if _, err := os.Stat(s.data()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// What an earlier one left. Its initdb may still run, so this one takes a name of its own.
	stale, _ := filepath.Glob(s.file("data.new-*")) // the only error is a malformed pattern
	for _, dir := range stale {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	fresh, err := os.MkdirTemp(s.Dir, "data.new-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(fresh) //nolint:errcheck // gone already when all went well, and swept by the next one otherwise
	if err := s.fillData(ctx, fresh); err != nil {
		return err
	}
	err = os.Rename(fresh, s.data())
	if errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, fs.ErrExist) {
		return nil // another Prepare was faster
	}
	return errors.Join(err, atomicfile.SyncDir(s.Dir))
}

func (s Server) fillData(ctx context.Context, fresh string) error {
	if err := s.give(fresh); err != nil {
		return err
	}
	return s.initdb(ctx, fresh)
}

func (s Server) initdb(ctx context.Context, dir string) error {
	argv := []string{s.Programs.path("initdb"), "-D", dir, "-U", admin, "--encoding=UTF8", "--locale=" + locale(),
		"--auth-local=peer", "--auth-host=scram-sha-256"}
	if s.Fast {
		argv = append(argv, "--no-sync")
	}
	t := tool{argv: argv, user: s.User}
	if s.Mark != "" {
		t.env = []string{s.Mark}
	}
	if _, err := run(ctx, t); err != nil {
		return fmt.Errorf("make the data folder of %s: %w", s, err)
	}
	return nil
}

// own takes data over that an earlier server made, which ran as another user. While one runs nothing changes.
func (s Server) own(context.Context) error {
	if s.runs() {
		return nil
	}
	return s.give(s.data())
}

// give hands a folder with all in it to the server's user.
func (s Server) give(dir string) error {
	if s.User == "" {
		return nil
	}
	u, err := user.Lookup(s.User)
	if err != nil {
		return err
	}
	uid, uidErr := strconv.Atoi(u.Uid)
	gid, gidErr := strconv.Atoi(u.Gid)
	if err := errors.Join(uidErr, gidErr); err != nil {
		return err
	}
	return home.Give(dir, uid, gid)
}

// sameVersion compares the data with the programs: PostgreSQL reads only its own major version's. FindFor looks for the right ones.
func (s Server) sameVersion(context.Context) error {
	if v := dataVersion(s.Dir); v != strconv.Itoa(s.Programs.Major) {
		return problem.New(problem.Blocked, "the data in %s are of PostgreSQL %s, the programs in %s are of %s",
			s.data(), v, s.Programs.Bin, s.Programs.Version).
			WithHint("install PostgreSQL %s again; with it, pg_dump takes the data to another version", v)
	}
	return nil
}

// writeRules says who may come in: the daemon's system user as the administrator, by socket; everybody else with a
// password, on 127.0.0.1.
func (s Server) writeRules(context.Context) error {
	me, err := user.Current()
	if err != nil {
		return err
	}
	hba := fmt.Sprintf("local all %[1]s peer map=daemon\nhost all %[1]s 127.0.0.1/32 reject\nhost all all 127.0.0.1/32 scram-sha-256\n", admin)
	ident := fmt.Sprintf("daemon \"%s\" %s\n", me.Username, admin)
	return errors.Join(
		atomicfile.Write(s.file("hba.conf"), []byte(hba), 0o644),
		atomicfile.Write(s.file("ident.conf"), []byte(ident), 0o644))
}

// makeSockets makes the folder of the unix socket. Where it is a short one in the temporary folder, its parent has a name
// that anybody could have made first, so that is looked at.
func (s Server) makeSockets(context.Context) error {
	dir := s.Sockets()
	if parent := filepath.Dir(dir); parent != s.Dir {
		if err := s.makeParent(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if s.runs() {
		return nil
	}
	return s.give(dir)
}

func (s Server) makeParent(dir string) error {
	perm := fs.FileMode(0o700)
	if s.User != "" {
		perm = 0o711
	}
	if err := os.Mkdir(dir, perm); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || !info.IsDir() || int(st.Uid) != os.Getuid() {
		return problem.New(problem.Blocked, "%s is not a folder of this user's: somebody else made it", dir).
			WithHint("remove it, or set GREENROOM_HOME to a folder with a shorter path")
	}
	return os.Chmod(dir, perm)
}
