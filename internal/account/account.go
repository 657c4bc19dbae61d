// Package account makes system users: one for each environment, so that the kernel keeps environments apart.
//
// A user's name and comment are derived from the state folder, the app and the environment, so that two Greenrooms of one
// machine share none, and nothing has to be remembered. A user is never removed as long as the state folder is there: its
// number would be given to the next one, together with every file that the first one left.
package account

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"time"

	"greenroom/internal/home"
	"greenroom/internal/problem"
	"greenroom/internal/proc"
)

// User is a system user.
type User struct {
	Name string
	UID  int
	GID  int // of the user's own group
}

// Accounts are the system users of one Greenroom. They are safe for concurrent use, also by several processes.
type Accounts struct {
	home home.Home
}

// New are the users of the Greenroom with this state folder.
func New(h home.Home) *Accounts { return &Accounts{home: h} }

// patience is how long making or removing one user may take: the programs wait 15 s for each other, and write little.
const patience = time.Minute

// Find looks for an environment's user. What keeps it from being had, as far as looking can tell, is a problem of code
// Unavailable whose message ends the sentence "not isolated: …"; that there is none yet is problem.NotFound.
func (a *Accounts) Find(app, environment string) (User, error) {
	if err := supported(); err != nil {
		return User{}, err
	}
	return a.find(app, environment)
}

// Make makes an environment's user where there is none yet. Problems are Find's. A kill in the middle is repaired by the
// next call.
func (a *Accounts) Make(ctx context.Context, app, environment string) (User, error) {
	if err := supported(); err != nil {
		return User{}, err
	}
	u, err := a.find(app, environment)
	if !missing(err) {
		return u, err
	}
	lock, err := a.lock()
	if err != nil {
		return User{}, err
	}
	defer lock.Close()                                    //nolint:errcheck // nothing was written to it
	if u, err = a.find(app, environment); !missing(err) { // another was faster
		return u, err
	}
	if err := a.add(ctx, app, environment, lock); err != nil {
		return User{}, err
	}
	return a.find(app, environment)
}

func missing(err error) bool {
	p := problem.From(err)
	return p != nil && p.Code == problem.NotFound
}

// lock keeps a second useradd away: of two that make one user at the same time, the later gives it another number, and
// leaves the files of the first to whoever comes next. The child has the open file too, so that it is locked as long as
// one works, also one whose Greenroom was killed.
func (a *Accounts) lock() (*os.File, error) {
	f, err := os.OpenFile(a.home.Accounts(), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(err, f.Close())
		}
	}
}

// Remove removes all users of this Greenroom. Their files must be gone, and nothing of theirs may run.
func (a *Accounts) Remove(ctx context.Context) error {
	all, err := commented(a.owner())
	if err != nil {
		return err
	}
	for _, name := range all {
		err = errors.Join(err, run(ctx, strings.NewReader(""), "userdel", name)) // and the group of the same name
	}
	return err
}

// find looks a user up by its name, and makes sure that it is ours and shares its numbers with nobody.
func (a *Accounts) find(app, environment string) (User, error) {
	name := a.name(app, environment)
	u, err := user.Lookup(name)
	if unknown := (user.UnknownUserError)(""); errors.As(err, &unknown) {
		return User{}, problem.New(problem.NotFound, "there is no system user %s", name)
	}
	if err != nil {
		return User{}, problem.New(problem.Unavailable, "the system user %s can't be looked up: %w", name, err)
	}
	if u.Name != a.comment(app, environment) {
		return User{}, problem.New(problem.Unavailable, "the system user %s is somebody else's: its comment is %q, not %q", name, u.Name, a.comment(app, environment)).
			WithHint("getent passwd %s", name)
	}
	uid, uidErr := strconv.Atoi(u.Uid)
	gid, gidErr := strconv.Atoi(u.Gid)
	if err := errors.Join(uidErr, gidErr); err != nil {
		return User{}, problem.New(problem.Unavailable, "the system user %s has no number: %w", name, err)
	}
	if err := alone(name, u.Uid, u.Gid); err != nil {
		return User{}, err
	}
	return User{Name: name, UID: uid, GID: gid}, nil
}

// alone makes sure that no other name stands for the same user or group. That the group is missing is problem.NotFound:
// useradd was killed between its files.
func alone(name, uid, gid string) error {
	shared := func(what, other string) error {
		return problem.New(problem.Unavailable, "the system user %s shares its %s with %s", name, what, other).
			WithHint("getent passwd %s", name)
	}
	if uid == "0" || gid == "0" {
		return shared("rights", "root")
	}
	if u, err := user.LookupId(uid); err == nil && u.Username != name {
		return shared("number "+uid, u.Username)
	}
	g, err := user.LookupGroupId(gid)
	if unknown := (user.UnknownGroupIdError)(""); errors.As(err, &unknown) {
		return problem.New(problem.NotFound, "the system user %s has no group", name)
	}
	if err != nil {
		return problem.New(problem.Unavailable, "the group of the system user %s can't be looked up: %w", name, err)
	}
	if g.Name != name {
		return shared("group", g.Name)
	}
	return nil
}

// add makes a user with a group of its own, or only the group, with the user's number, where that is missing.
func (a *Accounts) add(ctx context.Context, app, environment string, lock *os.File) error {
	name := a.name(app, environment)
	if err := writable(); err != nil {
		return problem.New(problem.Unavailable, "the system user %s can't be made: %w", name, err)
	}
	if u, err := user.Lookup(name); err == nil {
		return run(ctx, lock, "groupadd", "--system", "--gid", u.Gid, name)
	}
	return run(ctx, lock, "useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent",
		"--shell", nologin(), "--comment", a.comment(app, environment), name)
}

// run runs one of the system's programs to its end, also when ctx ends: killed, it could leave its lock behind.
func run(ctx context.Context, stdin io.Reader, program string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	out := proc.NewTail(4 << 10)
	exit, err := proc.Run(ctx, proc.Command{
		Argv: append([]string{program}, args...), Dir: "/", Env: []string{"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
		Stdin: stdin, Stdout: out, Stderr: out,
	})
	if err == nil && !exit.OK() {
		err = fmt.Errorf("%s: %s", exit, strings.Join(out.Lines(3), "; "))
	}
	if err != nil {
		return problem.New(problem.Unavailable, "%s %s: %w", program, args[len(args)-1], err)
	}
	return nil
}

// maxName is how long a name may be for useradd, and for utmp.
const maxName = 32

// name is gr-<app>-<environment>-<8 hex digits>, the middle cut to fit: what a person finds in ps.
func (a *Accounts) name(app, environment string) string {
	readable := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '-'
	}, strings.ToLower(app+"-"+environment))
	tail := "-" + digest(string(a.home), app, environment)[:8]
	const head = "gr-"
	return head + readable[:min(len(readable), maxName-len(head)-len(tail))] + tail
}

// comment tells people whose the user is, and us that it is ours: beside the name it has all that the name is made of.
func (a *Accounts) comment(app, environment string) string {
	return a.owner() + digest(string(a.home), app, environment)[:16]
}

// owner begins the comment of every user of this Greenroom. A comment may hold no colon, and no comma: that ends a name.
func (a *Accounts) owner() string { return "Greenroom " + digest(string(a.home))[:12] + " " }

func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}
