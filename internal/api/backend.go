// Package api is how everything outside the daemon speaks to it: the wire types, the server over a Backend, and the
// client, which is a Backend again. HTTP with JSON over a unix socket; problems travel as RFC 9457 documents.
package api

import (
	"context"
	"io"
	"iter"

	"greenroom/internal/evidence"
	"greenroom/internal/mask"
	"greenroom/internal/release"
)

// Stream is what is told one item after another. An error is the last thing that it yields; a stream that ends without
// one is complete. It is read once, and stopping early ends the work of telling, never the work that is told about.
type Stream[T any] = iter.Seq2[T, error]

// Backend is what the daemon does for people and programs. Errors are problems (package problem): NotFound for what
// was named and does not exist, Blocked with the reason where policy, ownership or a known-bad release forbids it.
//
// The context carries who asks (Actor). A method that acts is audited before it answers, and what it began goes on when
// the context ends: the caller went away, not the work.
//
// A release is named by its digest, the beginning of its digest, "latest", the commit or the ref that it was built from.
type Backend interface {
	// Version tells who answers.
	Version(ctx context.Context) (Version, error)
	// Register makes an app known, with the policy part of its definition in force. A policy that is in force already stays
	// what it is: Pending then says that the definition's is another, which Apply would put in force.
	Register(ctx context.Context, r Registration) (Registered, error)
	// Apply makes the policy part of a definition the one in force, and tells what that changes; dry only tells.
	Apply(ctx context.Context, r Registration, dry bool) (Applied, error)
	// Up starts environments and tells the progress until they are up; none named means all of the app's. An
	// environment that is up already is told as such. The last event of each environment has Step set to its name and
	// State done or failed; the stream's error tells what did not come up.
	Up(ctx context.Context, r EnvironmentsRequest) (Stream[Event], error)
	// Down stops environments, keeps their data unless Volumes says otherwise, and tells the progress as Up does. Everything
	// means those of every app.
	Down(ctx context.Context, r EnvironmentsRequest) (Stream[Event], error)

	// Import takes a finished release: layout is an OCI image layout as a tar archive, whose blobs are verified. A
	// release that is known already is the same release, and no error.
	Import(ctx context.Context, info ReleaseInfo, layout io.Reader) (ReleaseView, error)
	// Packed is the artifact that a container's image, by its id, became in one of the app's newest releases, where that is whole:
	// whoever builds need not bring it with the next one. NotFound where there is none.
	Packed(ctx context.Context, app, image string) (release.Artifact, error)
	// Bundle is a release with its artifacts, and everything that is signed about it: an OCI image layout as a tar archive.
	// The caller closes it.
	Bundle(ctx context.Context, app, release string) (io.ReadCloser, error)
	// Take takes a bundle: the release, and the evidence that keys have signed which the policy trusts for it. What
	// somebody else signed, or what is missing of it, is told and not taken for true.
	Take(ctx context.Context, app string, bundle io.Reader) (Taken, error)
	// Releases lists an app's releases, the newest first; limit 0 means 50.
	Releases(ctx context.Context, app string, limit int) ([]ReleaseView, error)
	// Resolve finds the release that a name means. Ambiguous beginnings are Invalid.
	Resolve(ctx context.Context, app, name string) (ReleaseView, error)

	// Plan tells what Start would do and whether the gate would let it, and writes nothing.
	Plan(ctx context.Context, r RunRequest) (PlanView, error)
	// Start queues a run and returns it without waiting for its end. Blocked when the gate says no.
	Start(ctx context.Context, r RunRequest) (RunView, error)
	// Run tells of a run, under way or ended.
	Run(ctx context.Context, id string) (RunView, error)
	// Events tells what happened in a run after the event of that sequence number (0: from its beginning) and goes on
	// until the run has ended.
	Events(ctx context.Context, id string, after int64) (Stream[Event], error)
	// Cancel asks a run to stop and take back what it did. It returns at once; the run's events tell the rest.
	// Cancelling a run that has ended is Invalid.
	Cancel(ctx context.Context, id string) error

	// Report is the outcome of a rehearsal: of that run, or of the last finished one of that release.
	Report(ctx context.Context, app, name string) (evidence.Report, error)
	// Explain tells whether an environment would take a release now, and every reason why not.
	Explain(ctx context.Context, app, release, environment string) (Explanation, error)

	// Evidence lists everything that is signed about a release, the oldest first.
	Evidence(ctx context.Context, app, release string) (EvidenceList, error)
	// Standing is what an environment is, signed: the envelope.
	Standing(ctx context.Context, app, environment string) ([]byte, error)
	// TakeStanding takes what the Greenroom that runs an environment says of it, if its key is trusted for that.
	TakeStanding(ctx context.Context, app string, envelope []byte) (StandingView, error)
	// Keys lists the keys that are known, and what each may speak about in an app; app "" means this Greenroom's own.
	Keys(ctx context.Context, app string) ([]KeyView, error)
	// RotateKey makes a new key this Greenroom's own. What the old one signed before counts.
	RotateKey(ctx context.Context, because string) (KeyView, error)
	// RevokeKey makes that nothing of a key counts any more, and lists what leaned on it.
	RevokeKey(ctx context.Context, id evidence.KeyID, because string) (Revoked, error)
	// Log tells all entries of the log after that number, the oldest first, as they were signed.
	Log(ctx context.Context, after int64) (Stream[evidence.Entry], error)
	// Anchor tells the log's head, signed: what is to be written elsewhere.
	Anchor(ctx context.Context) (Anchor, error)
	// Review closes what breaking the glass in a run left open: somebody else has looked at it.
	Review(ctx context.Context, run, because string) error

	// Status tells how things stand: of one app, or of all with app "".
	Status(ctx context.Context, app string) (StatusView, error)
	// History tells what was done, the newest first.
	History(ctx context.Context, q HistoryQuery) ([]HistoryEntry, error)
	// Logs reads what services printed, oldest first; with Follow it goes on until the context ends.
	Logs(ctx context.Context, q LogQuery) (Stream[LogLine], error)
	// Diff compares two sides, each a release or an environment (its live release and how it differs).
	Diff(ctx context.Context, app, a, b string) (DiffView, error)

	// Shape is the structure of an environment's database, and no value of it; environment "" is production. Unavailable
	// where the environment does not run.
	Shape(ctx context.Context, app, environment string) (mask.Shape, error)

	// SecretSet keeps a value for a secret in an environment. The value is never told again, by anything.
	SecretSet(ctx context.Context, s SecretName, value []byte) error
	// SecretList tells which secrets an app names and has, without values; environment "" means all.
	SecretList(ctx context.Context, app, environment string) ([]SecretView, error)
	// SecretRemove forgets a secret's value.
	SecretRemove(ctx context.Context, s SecretName) error

	// Copies lists the snapshots or backups of an environment, or of all with environment "", the newest first.
	Copies(ctx context.Context, app, environment string, kind CopyKind) ([]CopyView, error)
	// TakeCopy takes a snapshot, or a backup, of an environment's database and tells the progress; the last event is done
	// and has the new id as its Step. It ends with the context: a copy that nobody waits for is not taken.
	TakeCopy(ctx context.Context, r CopyRequest) (Stream[Event], error)
	// VerifyCopy restores a copy into a database that is thrown away, counts it, and notes that it could be. It tells the
	// progress, and ends with the context.
	VerifyCopy(ctx context.Context, r CopyRequest) (Stream[Event], error)
	// ExportCopy is a snapshot as one file, signed: a tar archive for ImportCopy. A backup is refused: it is raw. The caller
	// closes it.
	ExportCopy(ctx context.Context, r CopyRequest) (io.ReadCloser, error)
	// ImportCopy takes a snapshot that another Greenroom exported, if a key vouches for it that may speak for its environment,
	// and it is masked as the policy in force asks for. Whole, or nothing of it; one that is here already is no error.
	ImportCopy(ctx context.Context, app string, archive io.Reader) (CopyView, error)
	// RemoveCopy removes a copy for good.
	RemoveCopy(ctx context.Context, r CopyRequest) error
	// Database tells what an environment's database is, and what to do about it.
	Database(ctx context.Context, app, environment string) (DatabaseView, error)

	// StateBackup is everything with which another machine can take over, secrets and keys included: a tar archive for
	// greenroom state restore. The caller closes it.
	StateBackup(ctx context.Context) (io.ReadCloser, error)

	// Shutdown answers, then ends the daemon. Environments go on serving without it.
	Shutdown(ctx context.Context) error
}
