package layout

import (
	"fmt"
	"hash/crc32"
	"io/fs"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"greenroom/internal/problem"
)

// tree is a folder: name, text, name, text, ….
func tree(parts ...string) fstest.MapFS {
	files := fstest.MapFS{}
	for i := 0; i+1 < len(parts); i += 2 {
		files[parts[i]] = &fstest.MapFile{Data: []byte(parts[i+1])}
	}
	return files
}

func TestDetect(t *testing.T) {
	annotated := "-- +goose Up\nSELECT 1;\n"
	for _, c := range []struct {
		name  string
		files fs.FS
		want  Tool
		says  string
	}{
		{"goose", tree("00001_a.sql", annotated, "20240102_b.sql", annotated, "README.md", ""), Goose, ""},
		{"goose in Go", tree("00001_a.go", "package x"), Goose, ""},
		{"goose named like golang-migrate's", tree("1_a.up.sql", annotated), Goose, ""},
		{"golang-migrate", tree("1_a.up.sql", "", "1_a.down.sql", "", "sub/V1__x.txt", ""), Migrate, ""},
		{"flyway", tree("V1__a.sql", "", "R__b.sql", "", "sub/U1__a.sql", ""), Flyway, ""},
		{"flyway below", tree("sub/V1.2__a.sql", ""), Flyway, ""},
		{"nothing", tree("README.md", ""), "", "there: no file of migrations"},
		{"numbers alone", tree("001_a.sql", "SELECT 1", "002_b.sql", "SELECT 2"), "", "there: 2 files of none, such as 001_a.sql"},
		{"two tools", tree("00001_a.sql", annotated, "2_b.up.sql", "", "V1__c.sql", "", "V2__d.sql", "", "x.sql", ""), "",
			"there: 1 file of golang-migrate, such as 2_b.up.sql; 1 file of goose, such as 00001_a.sql; 2 files of flyway, such as V1__c.sql; 1 file of none, such as x.sql"},
		{"no text", tree("00001_a.sql", "\xff"), "", "can't be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Detect(c.files)
			if got != c.want || (err == nil) != (c.says == "") {
				t.Fatalf("%q, %v", got, err)
			}
			if err != nil && (problem.From(err).Code != problem.Invalid || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("it says: %v", err)
			}
		})
	}
}

func TestReadGolangMigrate(t *testing.T) {
	all, err := Read(tree(
		"10_ten.up.sql", "SELECT 10;", "2_two.up.sql", "BEGIN;\nSELECT 2;\nSELECT 3;\nCOMMIT;\n", "002_two.down.sql", "DROP INDEX CONCURRENTLY x;",
		"3_three.up.sql", "BEGIN; SELECT 1; COMMIT;\nSELECT 2;\n", "4_back.down.sql", "SELECT 4", "5_empty.up.sql", "-- nothing\n", "no.sql", "", "README.md", "",
	), Migrate, Postgres)
	if err != nil {
		t.Fatal(err)
	}
	want := []Migration{
		{Version: "2", Name: "two", File: "2_two.up.sql", Up: []Statement{{"SELECT 2", 2}, {"SELECT 3", 3}}, DownFile: "002_two.down.sql", Down: []Statement{{"DROP INDEX CONCURRENTLY x", 1}}, DownNoTx: true},
		{Version: "3", Name: "three", Before: "2", File: "3_three.up.sql", Up: []Statement{{"BEGIN; SELECT 1; COMMIT;\nSELECT 2;\n", 1}}, NoTx: true},
		{Version: "4", Name: "back", Before: "3", File: "4_back.down.sql", DownFile: "4_back.down.sql", Down: []Statement{{"SELECT 4", 1}}},
		{Version: "5", Name: "empty", Before: "4", File: "5_empty.up.sql", Up: []Statement{}},
		{Version: "10", Name: "ten", Before: "5", File: "10_ten.up.sql", Up: []Statement{{"SELECT 10", 1}}},
	}
	for i := range all {
		if len(all[i].Checksum) != 64 {
			t.Errorf("%s has the checksum %q", all[i].File, all[i].Checksum)
		}
		all[i].Checksum = ""
	}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Error(diff)
	}
}

func TestReadFlyway(t *testing.T) {
	all, err := Read(tree(
		"V2__second_one.sql", "\uFEFFSELECT 2;\r\nSELECT 3;", "V1.10__ten.sql", "SELECT 10;", "V1_9__nine.sql", "SELECT 9;", "U1.9.0__nine.sql", "SELECT 'back';",
		"sub/V3__index.sql", "CREATE INDEX CONCURRENTLY x ON y (z);", "R__b.sql", "SELECT 'b';", "R__a view.sql", "SELECT 'a';",
		"V4__told.sql", "SELECT '${x}';\nVACUUM;", "V4__told.sql.conf", "# told\nexecuteInTransaction=false\n\nplaceholderReplacement = false\nencoding=utf-8\n", "Vacuum.sql", "", "readme.txt", "",
	), Flyway, Postgres)
	if err != nil {
		t.Fatal(err)
	}
	want := []Migration{
		{Version: "1.9", Name: "nine", File: "V1_9__nine.sql", Up: []Statement{{"SELECT 9", 1}}, DownFile: "U1.9.0__nine.sql", Down: []Statement{{"SELECT 'back'", 1}}, Checksum: crc("SELECT 9;"), DownChecksum: crc("SELECT 'back';")},
		{Version: "1.10", Name: "ten", Before: "1.9", File: "V1.10__ten.sql", Up: []Statement{{"SELECT 10", 1}}, Checksum: crc("SELECT 10;")},
		{Version: "2", Name: "second one", Before: "1.10", File: "V2__second_one.sql", Up: []Statement{{"SELECT 2", 1}, {"SELECT 3", 2}}, Checksum: crc("SELECT 2;SELECT 3;")},
		{Version: "3", Name: "index", Before: "2", File: "sub/V3__index.sql", Up: []Statement{{"CREATE INDEX CONCURRENTLY x ON y (z)", 1}}, NoTx: true, Checksum: crc("CREATE INDEX CONCURRENTLY x ON y (z);")},
		{Version: "4", Name: "told", Before: "3", File: "V4__told.sql", Up: []Statement{{"SELECT '${x}'", 1}, {"VACUUM", 2}}, NoTx: true, Checksum: crc("SELECT '${x}';VACUUM;")},
		{Name: "a view", File: "R__a view.sql", Up: []Statement{{"SELECT 'a'", 1}}, Checksum: crc("SELECT 'a';"), Repeating: true},
		{Name: "b", File: "R__b.sql", Up: []Statement{{"SELECT 'b'", 1}}, Checksum: crc("SELECT 'b';"), Repeating: true},
	}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Error(diff)
	}
}

func crc(text string) string {
	return strconv.Itoa(int(int32(crc32.ChecksumIEEE([]byte(text)))))
}

// TestFlywaySum has sums that were computed by another implementation of CRC-32 over the lines without their ends.
func TestFlywaySum(t *testing.T) {
	for text, want := range map[string]string{
		"": "0", "CREATE TABLE a (id int);\n": "-623083431", "CREATE TABLE a (id int);\r\nSELECT 'ü';\rSELECT 2;\n\n": "526781862",
	} {
		if got := flywaySum(text); got != want {
			t.Errorf("%q: %s, not %s", text, got, want)
		}
	}
}

// TestReadRefuses pins what is said of folders that are not run.
func TestReadRefuses(t *testing.T) {
	up := "-- +goose Up\n"
	for _, c := range []struct {
		name  string
		tool  Tool
		files fs.FS
		want  string
	}{
		{"unknown tool", "liquibase", tree(), `"liquibase" is no tool whose layout is known; known are goose, golang-migrate and flyway`},
		{"Go", Goose, tree("1_a.go", "package x"), "1_a.go: a migration in Go runs in the program that it is compiled into; say how that is called with migrations: {run: …}"},
		{"same version", Goose, tree("1_a.sql", up, "01_b.sql", up), "1_a.sql: it has the same version 1 as 01_b.sql"},
		{"variables", Goose, tree("1_a.sql", up+"-- +goose ENVSUB ON\nSELECT '$A';\n"), "1_a.sql:2: variables of the environment are not put into migrations (ENVSUB): what runs has to be what was rehearsed"},
		{"no annotation", Goose, tree("1_a.sql", "-- a\nSELECT 1;\n"), "1_a.sql:2: it has to begin with -- +goose Up"},
		{"empty", Goose, tree("1_a.sql", ""), "1_a.sql:1: it has no line -- +goose Up"},
		{"no end", Goose, tree("1_a.sql", up+"SELECT 1\n-- +goose Down\nSELECT 2;\n"), "1_a.sql:2: the statement that begins here doesn't end with a semicolon at the end of a line"},
		{"block without end", Goose, tree("1_a.sql", up+"-- +goose StatementBegin\nSELECT 1;\n"), "1_a.sql:3: -- +goose StatementEnd is missing"},
		{"empty block", Goose, tree("1_a.sql", up+"-- +goose StatementBegin\n-- +goose StatementEnd\nSELECT 1;"), "1_a.sql:3: there is no statement between StatementBegin and StatementEnd"},
		{"string over lines", Goose, tree("1_a.sql", up+"SELECT 'a;\nb';\n"), "1_a.sql:2: ' is never closed"},
		{"index in a transaction", Goose, tree("1_a.sql", up+"\nCREATE INDEX CONCURRENTLY x ON y (z);\n"), "1_a.sql:3: CREATE INDEX CONCURRENTLY can't run inside a transaction; put -- +goose NO TRANSACTION at the top of the file"},
		{"index on the way down", Goose, tree("1_a.sql", up+"SELECT 1;\n-- +goose Down\nDROP INDEX CONCURRENTLY x;\n"), "1_a.sql:4: DROP INDEX CONCURRENTLY can't run inside a transaction; put -- +goose NO TRANSACTION at the top of the file"},
		{"commit", Goose, tree("1_a.sql", up+"SELECT 1; COMMIT;\n"), "1_a.sql:2: COMMIT would end the transaction that the migration and its version are recorded in; leave it out, or put -- +goose NO TRANSACTION at the top of the file"},
		{"several at once", Goose, tree("1_a.sql", "-- +goose NO TRANSACTION\n"+up+"SELECT 1; VACUUM;\n"), "1_a.sql:3: VACUUM can't be sent together with other statements; end the line behind each of them"},
		{"byte order mark", Goose, tree("1_a.sql", "\uFEFF"+up), "1_a.sql:1: it begins with a byte order mark, which the database refuses; save it without one"},
		{"no text", Goose, tree("1_a.sql", up+"SELECT '\xff';"), "1_a.sql:2: it is not UTF-8 text"},
		{"psql", Migrate, tree("1_a.up.sql", "SELECT 1;\n\\i other.sql\n"), `1_a.up.sql:2: commands of psql, such as \i, are nothing that the database knows; write it in SQL`},
		{"copy", Migrate, tree("1_a.up.sql", "COPY t FROM STDIN;\n1\n\\.\n"), "1_a.up.sql:1: COPY … FROM STDIN takes data that only psql sends; use INSERT"},
		{"index among others", Migrate, tree("1_a.up.sql", "SELECT 1;\nCREATE INDEX CONCURRENTLY x ON y (z);\n"), "1_a.up.sql:2: CREATE INDEX CONCURRENTLY can't be sent together with other statements; give it a migration of its own"},
		{"huge version", Migrate, tree("99999999999999999999_a.up.sql", ""), "99999999999999999999_a.up.sql: its version is larger than the version table takes"},
		{"two of one version", Migrate, tree("1_a.up.sql", "", "1_b.up.sql", ""), "1_b.up.sql: it has the same version 1 as 1_a.up.sql"},
		{"all faults", Migrate, tree("1_a.up.sql", "\\a", "2_a.up.sql", "\\b"), "1_a.up.sql:1: commands of psql, such as \\a, are nothing that the database knows; write it in SQL\n2_a.up.sql:1: commands of psql, such as \\b, are nothing that the database knows; write it in SQL"},
		{"placeholder", Flyway, tree("V1__a.sql", "SELECT 1;\nSELECT '${schema}';\n"), "V1__a.sql:2: placeholders such as ${schema} are not replaced; write the value, or put placeholderReplacement=false into V1__a.sql.conf"},
		{"near", Flyway, tree("V1_a.sql", ""), "V1_a.sql: this name is one that Flyway would pass over in silence; it has to look like V1_2__name.sql"},
		{"repeatable with a version", Flyway, tree("R_1__a.sql", ""), "R_1__a.sql: this name is one that Flyway would pass over in silence; it has to look like R__name.sql"},
		{"callback", Flyway, tree("afterMigrate__x.sql", ""), "afterMigrate__x.sql: callbacks of Flyway's are not run; say how Flyway is called with migrations: {run: …}"},
		{"baseline", Flyway, tree("B2__a.sql", ""), "B2__a.sql: baseline migrations (B…) are not run; say how Flyway is called with migrations: {run: …}"},
		{"Java", Flyway, tree("V1__a.java", ""), "V1__a.java: a migration in Java runs in the program that it is compiled into; say how Flyway is called with migrations: {run: …}"},
		{"same version, spelt otherwise", Flyway, tree("V1__a.sql", "", "V1.0__b.sql", ""), "V1__a.sql: it has the same version 1 as V1.0__b.sql"},
		{"same name", Flyway, tree("R__a.sql", "", "sub/R__a.sql", ""), "sub/R__a.sql: it has the same description as R__a.sql"},
		{"mixed", Flyway, tree("V1__a.sql", "SELECT 1;\nVACUUM;\n"), "V1__a.sql:2: VACUUM can't run inside a transaction, and the statements beside it would run in one; give it a migration of its own"},
		{"told otherwise", Flyway, tree("V1__a.sql", "VACUUM", "V1__a.sql.conf", "executeInTransaction=true"), "V1__a.sql:1: VACUUM can't run inside a transaction; put executeInTransaction=false into its .conf file"},
		{"configuration", Flyway, tree("V1__a.sql", "", "V1__a.sql.conf", "\nshouldExecute=${x}\n"), `V1__a.sql: V1__a.sql.conf:2: "shouldExecute=${x}" is not understood; executeInTransaction and placeholderReplacement are, with true or false`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Read(c.files, c.tool, Postgres)
			if p := problem.From(err); p == nil || p.Code != problem.Invalid || p.Message != c.want {
				t.Errorf("it says %v\n      not %s", err, c.want)
			}
		})
	}
}

func TestCompare(t *testing.T) {
	sorted := []string{"", "0.1", "1", "1.1", "1.9", "1.10", "2", "10", "20240102030405", "99999999999999999999999999"}
	for i, a := range sorted {
		for j, b := range sorted {
			if got := Compare(a, b); sign3(got) != sign3(i-j) {
				t.Errorf("%q and %q: %d", a, b, got)
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		version := rapid.Custom(func(t *rapid.T) string {
			var parts []string
			for _, n := range rapid.SliceOfN(rapid.IntRange(0, 12), 1, 4).Draw(t, "parts") {
				parts = append(parts, fmt.Sprintf("%0*d", rapid.IntRange(1, 4).Draw(t, "width"), n))
			}
			return strings.Join(parts, ".")
		})
		a, b := version.Draw(t, "a"), version.Draw(t, "b")
		if Compare(a, b) != -Compare(b, a) || (Compare(a, b) == 0) != (canonical(a) == canonical(b)) {
			t.Errorf("%q and %q", a, b)
		}
	})
}

func sign3(n int) int { return min(1, max(-1, n)) }

// FuzzRead reads any text as a migration of any tool's: what is taken is statements of that text, in their lines.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{"-- +goose Up\nSELECT 1;\n-- +goose Down\nSELECT 2;\n", "-- +goose NO TRANSACTION\n-- +goose Up\n-- +goose StatementBegin\nDO $$;\n$$;\n-- +goose StatementEnd\n", "BEGIN;SELECT 1;COMMIT;", "VACUUM", "\uFEFFSELECT '${a}'"} {
		for tool := range uint8(3) {
			f.Add(seed, tool, true)
			f.Add(seed, tool, false)
		}
	}
	f.Fuzz(func(t *testing.T, text string, n uint8, pg bool) {
		tool := []Tool{Goose, Migrate, Flyway}[n%3]
		d := SQLite
		if pg {
			d = Postgres
		}
		name := map[Tool]string{Goose: "1_x.sql", Migrate: "1_x.up.sql", Flyway: "V1__x.sql"}[tool]
		all, err := Read(tree(name, text), tool, d)
		if err != nil {
			if problem.From(err).Code != problem.Invalid || !strings.HasPrefix(err.Error(), name+":") {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		lines := strings.Count(text, "\n") + 1
		for _, s := range append(all[0].Up, all[0].Down...) {
			if s.Line < 1 || s.Line > lines || s.At(len(s.SQL)) > lines+1 || !strings.Contains(strings.ReplaceAll(text, "\r\n", "\n"), strings.ReplaceAll(s.SQL, "\r\n", "\n")) && tool != Goose {
				t.Errorf("%+v is not of %q", s, text)
			}
		}
	})
}
