package data

import "context"

// Verifier is a database whose backups can be tried without touching it.
type Verifier interface {
	// Verify restores a backup into a database beside this one, reads all of it, throws it away, and returns the schema's
	// fingerprint as it was there. A damaged backup is Fail.
	Verify(ctx context.Context, file string) (schema string, err error)
}

// Counter is a database that counts what is written to it.
type Counter interface {
	// Written is how many rows were written to each table since the counting began; nil where the server counts nothing.
	// The numbers lag behind by a second or so, and begin anew when a server that was killed starts again.
	Written(ctx context.Context) (map[string]Written, error)
}

// Written counts rows.
type Written struct {
	Inserted int64 `json:"inserted"`
	Updated  int64 `json:"updated"`
	Deleted  int64 `json:"deleted"`
}
