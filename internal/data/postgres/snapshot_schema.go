package postgres

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/klauspost/compress/zstd"

	"greenroom/internal/data"
	"greenroom/internal/mask"
	"greenroom/internal/sqltext"
)

// The files that have the schema: what comes before the rows (types, tables, functions, views), and what is made faster
// and can only be made once they are there (indexes, constraints, triggers).
const (
	beforeFile = "schema-1-before.sql.zst"
	afterFile  = "schema-2-after.sql.zst"
)

// dumpSchema is the schema as pg_dump sees it in the moment, in two scripts. Comments, owners, grants, labels and
// statistics stay behind, and so does every way into another server.
func (t *taking) dumpSchema(ctx context.Context) (scripts [2]string, err error) {
	g := newGroup(ctx)
	for i, section := range []string{"pre-data", "post-data"} {
		g.run(func(ctx context.Context) error {
			text, err := t.dump(ctx, section)
			scripts[i] = harmless(text)
			return err
		})
	}
	return scripts, g.wait()
}

// textsOf are the texts in scripts.
func textsOf(scripts [2]string) (texts []string) {
	for _, script := range scripts {
		for _, q := range mask.Literals(script, mask.PostgreSQL) {
			texts = append(texts, q.Text)
		}
	}
	return texts
}

// writeSchema writes the scripts masked. changed says whether that made a difference, be it a comment in a body.
func (t *taking) writeSchema(scripts [2]string, s *data.Snapshot) (changed bool, err error) {
	for i, name := range []string{beforeFile, afterFile} {
		masked, literals := mask.MaskSchema([]byte(scripts[i]), t.o.Key, t.sieve.Seen)
		s.Literals += literals
		changed = changed || string(masked) != scripts[i]
		if err := t.writeCompressed(name, masked); err != nil {
			return changed, err
		}
	}
	return changed, nil
}

func (t *taking) dump(ctx context.Context, section string) (string, error) {
	d := *t.Database
	address := *d.adminURL
	q := address.Query()
	q.Set("application_name", "greenroom snapshot")
	address.RawQuery = encode(q)
	d.adminURL = &address
	var out bytes.Buffer
	_, err := d.tool(ctx, tool{
		argv: []string{t.programs.path("pg_dump"), "--schema-only", "--section=" + section, "--snapshot=" + t.moment.id,
			"--lock-wait-timeout=1000", "--no-comments", "--no-owner", "--no-privileges", "--no-subscriptions",
			"--no-security-labels", "--no-tablespaces", "--encoding=UTF8"},
		stdout: &out,
	}, t.name)
	return out.String(), err
}

// harmless leaves out of a schema what leads to another server: who one is there, with the password, and where it is. Lines
// that are meant for psql go too.
func harmless(script string) string {
	var b strings.Builder
	for _, s := range split(script) {
		switch {
		case begins(s, "CREATE", "USER", "MAPPING"):
			continue
		case begins(s, "CREATE", "SERVER"), begins(s, "CREATE", "FOREIGN", "DATA", "WRAPPER"):
			s = withoutOptions(s)
		}
		b.WriteString(s)
		b.WriteString(";\n\n")
	}
	return b.String()
}

// withoutOptions cuts the options off, which are the last part of such a statement.
func withoutOptions(statement string) string {
	for t := range sqltext.Tokens(statement, sqltext.PostgreSQL) {
		if t.Kind == sqltext.Word && t.Text == "OPTIONS" { // a name in small letters may be options
			return strings.TrimSpace(statement[:t.At])
		}
	}
	return statement
}

func (t *taking) writeCompressed(name string, text []byte) error {
	f, err := t.folder.Create(name)
	if err != nil {
		return err
	}
	z, err := compressor(f)
	if err != nil {
		return errors.Join(err, f.Abandon())
	}
	if _, err := z.Write(text); err != nil {
		return errors.Join(err, z.Close(), f.Abandon())
	}
	return errors.Join(z.Close(), f.Close())
}

// compressor is zstd at its fastest, in the goroutine that writes. BenchmarkCompression packs the same rows with it in less
// than half the time of gzip's fastest, to little more than half the size; gzip as pg_dump uses it takes five times as
// long. Without any the disk would have nine times as much to take.
//
// The window is small since this encoder hardly finds what is farther away, and since what it looks at then stays in the
// processor's cache: of its own 4 MB, in little memory, it moves all with each block, which takes half as long again.
func compressor(w io.Writer) (*zstd.Encoder, error) {
	return zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(512<<10))
}

func decompressor(r io.Reader) (*zstd.Decoder, error) {
	return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20))
}

// readSequences reads where the sequences are. They belong to no moment: they are read after it was taken, so no number
// that a row of it has comes again.
func (t *taking) readSequences(ctx context.Context) error {
	names := func(query string) ([]catalogName, error) {
		rows, err := t.moment.exporter.Query(ctx, query)
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, pgx.RowToStructByPos[catalogName])
	}
	const ours = `n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
		AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 1259 AND d.objid = c.oid AND d.deptype = 'e') ORDER BY 1, 2`
	sequences, err := names(`SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND ` + ours)
	if err != nil {
		return err
	}
	batch := &pgx.Batch{}
	t.catalog.Sequences = make([]catalogSequence, len(sequences))
	for i, s := range sequences {
		t.catalog.Sequences[i].catalogName = s
		batch.Queue("SELECT last_value, is_called FROM " + s.sql()).QueryRow(func(row pgx.Row) error {
			return row.Scan(&t.catalog.Sequences[i].Last, &t.catalog.Sequences[i].Called)
		})
	}
	if err := t.moment.exporter.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	t.catalog.Views, err = names(`SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind = 'm' AND c.relispopulated AND ` + ours)
	if err != nil {
		return err
	}
	return t.moment.exporter.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'public')").Scan(&t.catalog.Public)
}

// serverMajor is the major version of the server at the other end.
func serverMajor(conn *pgx.Conn) int { return Major(conn.PgConn().ParameterStatus("server_version")) }
