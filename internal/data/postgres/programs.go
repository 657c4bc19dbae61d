package postgres

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"greenroom/internal/problem"
)

// oldest is the first major version that everything here works with (DROP DATABASE … WITH FORCE).
const oldest = 13

// Programs are the PostgreSQL programs of one version, all in one folder.
type Programs struct {
	Bin     string `json:"bin"` // absolute
	Major   int    `json:"major"`
	Version string `json:"version"`          // such as 15.7
	Notice  string `json:"notice,omitempty"` // what a person should know: these are not of the version that was asked for
}

// Finder looks for the server's programs on this machine: in PATH, in the folders of Debian, Red Hat and Homebrew. A server
// says its version only when it is run; a Finder, whose zero value is ready, asks each that it finds once, until another one
// stands in its place.
type Finder struct {
	mu    sync.Mutex
	known map[string]known // by the server's path
}

// known is the version that a server program said.
type known struct {
	file    fs.FileInfo
	version string
}

// Find is Finder.Find for whoever looks once.
func Find(tag string) (Programs, error) { return new(Finder).Find(tag) }

// FindFor is Finder.FindFor for whoever looks once.
func FindFor(tag, dir string) (Programs, error) { return new(Finder).FindFor(tag, dir) }

// Find finds the programs for a tag, which is that of the image that the Compose file names, such as 16, 16.4-alpine or
// latest. Where its major version is not here, the newest one that is serves in its place, with a notice that says so: a
// development machine should run the app without another installation, and the person should know. Where there is none at
// all the problem is Unavailable; then Fetch can get one.
func (f *Finder) Find(tag string) (Programs, error) {
	var found []Programs
	for _, dir := range folders() {
		if p, ok := f.inspect(dir); ok {
			found = append(found, p)
		}
	}
	// Of two places with the same version the one that can make backups too is better.
	slices.SortStableFunc(found, func(a, b Programs) int { return b.tools() - a.tools() })
	p, ok := choose(found, Major(tag))
	if !ok {
		return Programs{}, missing(Major(tag))
	}
	return p, nil
}

// FindFor is Find for a Server's folder: where it has data already, only programs of their major version can serve them,
// whatever the image's tag says by now. The notice tells of the difference.
func (f *Finder) FindFor(tag, dir string) (Programs, error) {
	data := dataVersion(dir)
	if data == "" {
		return f.Find(tag)
	}
	p, err := f.Find(data)
	if want := Major(tag); err == nil && want != 0 && want != p.Major {
		p.Notice = "the image asks for PostgreSQL " + strconv.Itoa(want) + ", the data in " + dir + " are of PostgreSQL " + data +
			": PostgreSQL " + p.Version + " from " + p.Bin + " serves"
	}
	return p, err
}

// dataVersion is the major version of the data in a Server's folder, "" where there are none. The data are another
// user's: a link that he put there leads nowhere else.
func dataVersion(dir string) string {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return ""
	}
	defer root.Close() //nolint:errcheck // read only
	b, err := root.ReadFile("data/PG_VERSION")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// Major reads the major version from an image's tag; 0 when it names none, as latest or alpine do.
func Major(tag string) int {
	n, err := strconv.Atoi(regexp.MustCompile(`^\d*`).FindString(tag))
	if err != nil {
		return 0
	}
	return n
}

// choose takes the first of the wanted major version, or else the newest. 0 wants any.
func choose(found []Programs, want int) (Programs, bool) {
	found = slices.DeleteFunc(slices.Clone(found), func(p Programs) bool { return p.Major < oldest })
	if len(found) == 0 {
		return Programs{}, false
	}
	for _, p := range found {
		if p.Major == want {
			return p, true
		}
	}
	newest := slices.MaxFunc(found, func(a, b Programs) int { return a.Major - b.Major })
	if want != 0 {
		newest.Notice = "PostgreSQL " + strconv.Itoa(want) + " is not on this machine: PostgreSQL " + newest.Version +
			" from " + newest.Bin + " serves in its place"
	}
	return newest, true
}

// Folders is the environment variable that names where PostgreSQL's programs are looked for instead of everywhere that
// they may be, in the form of PATH: for an installation in a place of its own, and to try another version.
const Folders = "GREENROOM_POSTGRES"

// folders lists where the programs may be, the preferred first.
func folders() []string {
	if only := os.Getenv(Folders); only != "" {
		return filepath.SplitList(only)
	}
	dirs := filepath.SplitList(os.Getenv("PATH"))
	patterns := []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin"}
	if runtime.GOOS == "darwin" {
		patterns = []string{"/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin",
			"/Applications/Postgres.app/Contents/Versions/*/bin"}
	}
	for _, pattern := range patterns {
		matches, _ := filepath.Glob(pattern) // the only error is a malformed pattern
		dirs = append(dirs, matches...)
	}
	return dirs
}

var versionLine = regexp.MustCompile(`\(PostgreSQL\) (\d+\S*)`)

// inspect says what programs a folder has; it needs both to make a server's data and to serve it. A link to a server is
// followed to the folder where the server is at home, since often not all of its companions are linked.
func (f *Finder) inspect(dir string) (Programs, bool) {
	server, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres"))
	if err != nil || !filepath.IsAbs(server) {
		return Programs{}, false
	}
	p := Programs{Bin: filepath.Dir(server)}
	if !p.has("postgres") || !p.has("initdb") {
		return Programs{}, false
	}
	p.Version = f.version(server)
	p.Major = Major(p.Version)
	return p, p.Version != ""
}

// version is what a server program says that it is; "" where it says nothing.
func (f *Finder) version(server string) string {
	file, err := os.Stat(server)
	if err != nil {
		return ""
	}
	f.mu.Lock()
	defer f.mu.Unlock() // who looks at the same time waits for the answer
	if k, ok := f.known[server]; ok && os.SameFile(k.file, file) && k.file.ModTime().Equal(file.ModTime()) && k.file.Size() == file.Size() {
		return k.version
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := run(ctx, tool{argv: []string{server, "--version"}})
	m := versionLine.FindStringSubmatch(out)
	if err != nil || m == nil {
		return ""
	}
	if f.known == nil {
		f.known = map[string]known{}
	}
	f.known[server] = known{file, m[1]}
	return m[1]
}

func (p Programs) path(name string) string { return filepath.Join(p.Bin, name) }

func (p Programs) has(name string) bool {
	if p.Bin == "" {
		return false
	}
	info, err := os.Stat(p.path(name))
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

// tools counts the programs that a backup takes.
func (p Programs) tools() (n int) {
	for _, name := range []string{"pg_dump", "pg_restore"} {
		if p.has(name) {
			n++
		}
	}
	return n
}

// need says what to install when a program that a backup takes is not among these: an archive of server programs alone
// does not have them.
func (p Programs) need(name string) error {
	if p.has(name) {
		return nil
	}
	where := p.Bin
	if where == "" {
		where = "this machine"
	}
	return problem.New(problem.Unavailable, "%s is needed to copy a database and is not in %s", name, where).
		WithHint("%s", install(p.Major))
}

// reads says what to install where a server is of a later version than these programs: they refuse to read one.
func (p Programs) reads(server int) error {
	if server <= p.Major {
		return nil
	}
	return problem.New(problem.Unavailable, "the server is PostgreSQL %d, and pg_dump in %s is of PostgreSQL %s: it reads no server that is newer than itself",
		server, p.Bin, p.Version).WithHint("%s", installed(server))
}

// installed is how programs of exactly that version are installed.
func installed(major int) string {
	if runtime.GOOS == "darwin" {
		return install(major)
	}
	return "apt-get install postgresql-" + strconv.Itoa(major)
}

func missing(major int) error {
	return problem.New(problem.Unavailable, "no PostgreSQL server program (version %d or newer) on this machine", oldest).
		WithHint("%s", install(major))
}

func install(major int) string {
	if runtime.GOOS == "darwin" {
		if major == 0 {
			major = 16
		}
		return "brew install postgresql@" + strconv.Itoa(major)
	}
	return "apt-get install postgresql"
}
