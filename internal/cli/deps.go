package cli

import (
	"context"
	"io"

	"greenroom/internal/api"
	"greenroom/internal/app"
	"greenroom/internal/evidence"
	"greenroom/internal/home"
	"greenroom/internal/mask"
	"greenroom/internal/release"
	"greenroom/internal/term"
)

// Deps is what the commands need and a face may not construct: what works without the daemon, and the processes that
// this program can be. Every function returns problems.
type Deps struct {
	Version string // of this Greenroom

	// AppName reads the name of the app that the definition in dir, or in a folder above it, is of. It is cheap: it
	// validates nothing. NotFound where there is no definition.
	AppName func(dir string) (string, error)
	// Load reads and validates the definition in dir, or in a folder above it; all its faults are in one error.
	Load func(ctx context.Context, dir string) (Definition, error)
	// Draft proposes a definition for the Compose file in dir, and writes nothing.
	Draft func(ctx context.Context, dir string) (Draft, error)
	// Schema is the JSON schema of greenroom.yaml, or of mask.yaml.
	Schema func(file string) ([]byte, error)
	// MaskFile reads the rules of the definition in dir, or in a folder above it: of the file that it names, of mask.yaml
	// where it names none, or of file where that is not "". A file that is not there is no error.
	MaskFile func(dir, file string) (MaskFile, error)
	// AddRules proposes a file of rules, which messages call name, with others added to it, and writes nothing. What people
	// wrote stays as it is.
	AddRules func(content []byte, name string, add mask.Rules, notes []mask.Note) ([]byte, error)
	// DatabaseShape reads the structure of the database at an address, and no value of it: a URL, or the path of an SQLite
	// file.
	DatabaseShape func(ctx context.Context, address string) (mask.Shape, error)
	// Commit is the full id of the commit that a git ref means in dir. NotFound when it means none.
	Commit func(ctx context.Context, dir, ref string) (string, error)
	// Build makes a release out of a repository, as the caller, and runs its checks at build. It tells what it does.
	Build func(ctx context.Context, d Definition, tell func(api.Event)) (Built, error)

	// TrustKey proposes the definition in dir, or in a folder above it, with a key among its `keys:`, and writes nothing. A
	// key of that name that is there already is replaced.
	TrustKey func(dir string, k app.TrustedKey) (Edit, error)
	// RotateBuilder makes a new key this user's own, for what he builds from now on, and returns the public one (see
	// evidence.FormatPublic).
	RotateBuilder func() (string, error)
	// BuilderKey is the public key that this user builds with; the first call makes it.
	BuilderKey func() (string, error)
	// PushBundle puts a bundle, an OCI image layout as a tar archive, into a registry under ref (host/repository:tag), and
	// PullBundle gets one from there; the command closes it. An end that comes too early is an error of the reader, not
	// io.EOF.
	PushBundle func(ctx context.Context, bundle io.Reader, ref string) error
	PullBundle func(ctx context.Context, ref string) (io.ReadCloser, error)

	// RestoreState makes an empty state folder what an archive holds that StateBackup gave; no daemon runs there.
	RestoreState func(ctx context.Context, h home.Home, archive io.Reader) error

	// ReportPage writes the report of a rehearsal as one HTML page that needs nothing beside it. Its errors are w's.
	ReportPage func(w io.Writer, r evidence.Report) error

	// EnsureDaemon starts the daemon of that state folder when none runs, and returns when it answers.
	EnsureDaemon func(ctx context.Context, h home.Home) error
	// Service is Greenroom under systemd.
	Service Service
	// Demo tells the whole story.
	Demo func(ctx context.Context, o DemoOptions) error
	// Daemon, Edge, Supervise and Network are the processes of a running Greenroom. They get what stands behind "--".
	Daemon    func(ctx context.Context, h home.Home, args []string) error
	Edge      func(ctx context.Context, h home.Home, args []string) error
	Supervise func(ctx context.Context, h home.Home, args []string) error
	Network   func(ctx context.Context, h home.Home, args []string) error
}

// Definition is a definition that was read from a repository.
type Definition struct {
	App     app.App
	Dir     string   // absolute: the folder with greenroom.yaml
	Notices []string // what a person should know: attributes that the driver does not honour, each with its place
	// Images are containers' images that somebody else built, by service: `greenroom build --image`.
	Images map[string]string
	// Packed tells what an image became in an earlier release, where the daemon has that: artifact.BuildOptions.
	Packed func(ctx context.Context, image string) (release.Artifact, bool)
	// Home is the state folder of the Greenroom that the images are kept for; "" is this user's own.
	Home home.Home
}

// Draft is a proposed definition.
type Draft struct {
	File     string // absolute path of the greenroom.yaml to be
	Content  []byte
	Findings []Finding
}

// Finding is what was found out about one part of a Compose file.
type Finding struct {
	Subject string `json:"subject"` // "service web"
	Runs    bool   `json:"runs"`    // the process driver can run it as it is
	Text    string `json:"text"`    // how, or why not

	// Add are lines for a file, indented as they have to stand there: below a line of it, or in that line's place. Lines
	// are counted in the file as it is. Without Add it is the line that has to be changed.
	Add      string `json:"add,omitempty"`
	File     string `json:"file,omitempty"`
	Line     int    `json:"line,omitempty"`
	Replaces bool   `json:"replaces,omitempty"`
}

// MaskFile is a file of rules.
type MaskFile struct {
	Name    string // as the definition or the person names it
	File    string // absolute path
	Named   bool   // the definition names it
	There   bool
	Content []byte
	Rules   mask.Rules
}

// Edit is a proposed change of a file.
type Edit struct {
	File   string // absolute path
	Before []byte
	After  []byte
}

// Built is a finished release on its way to the daemon.
type Built struct {
	Info       api.ReleaseInfo
	Statements []evidence.Statement // what the checks at build found; Info.Evidence has them signed
	Layout     io.ReadCloser        // OCI image layout as a tar archive; the command closes it
}

// DemoOptions are what a person chose for the demo.
type DemoOptions struct {
	Home   string // a state folder; "" means one of its own that goes with it
	Exit   bool   // end after the last act
	Screen term.Screen
}

// Streams are where a command reads and writes.
type Streams struct {
	In     io.Reader // a terminal when it is an *os.File that is one
	Out    term.Screen
	Err    term.Screen
	Getenv func(string) string
}
