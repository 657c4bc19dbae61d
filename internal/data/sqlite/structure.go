package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"strings"

	"greenroom/internal/problem"
)

// structure is what a database consists of, read in the transaction of its connection.
type structure struct {
	tables   []*table // that hold rows of their own, sorted by name
	rebuilt  []*table // indexes of other tables' rows, as FTS5 with external content: made anew from these
	entries  []entry  // the statements that make it, in the order of creation; without what SQLite makes by itself
	encoding string
	pageSize int64
	pragmas  []string // that the file's header keeps
	journal  string   // wal, delete, …
}

// entry is a row of sqlite_master with a statement.
type entry struct{ kind, name, table, sql string }

// table is a table as a copy needs it.
type table struct {
	name    string
	columns []column
	pk      []string
	virtual bool
	empty   bool   // nothing can be read from it, and its index holds values: FTS5 with content=''
	rowid   string // the name under which the hidden number of a row can be read and set; "" where there is none
	sql     string
	rows    int64 // in the moment of the transaction
	bytes   int64 // indexes included
	own     int64 // without them
	root    int64 // page where it begins
}

// column is a column of a table, generated ones included.
type column struct {
	name, typ string
	notNull   bool
	key       bool
	generated bool
	unique    bool // alone
	together  bool // with others
	refers    string
}

// stored are the columns that can be written.
func (t *table) stored() (all []column) {
	for _, c := range t.columns {
		if !c.generated {
			all = append(all, c)
		}
	}
	return all
}

// readStructure reads the schema. Values are not looked at.
func readStructure(ctx context.Context, conn *sql.Conn) (*structure, error) {
	s := &structure{}
	types, err := s.readEntries(ctx, conn)
	if err != nil {
		return nil, err
	}
	for _, e := range s.entries {
		if e.kind != "table" {
			continue
		}
		t, err := readTable(ctx, conn, e, types[e.name])
		if err != nil {
			return nil, err
		}
		switch {
		case t == nil: // keeps nothing
		case t.virtual && t.columns == nil:
			s.rebuilt = append(s.rebuilt, t)
		default:
			s.tables = append(s.tables, t)
		}
	}
	slices.SortFunc(s.tables, func(a, b *table) int { return cmp.Compare(a.name, b.name) })
	s.resolve()
	if err := s.readUnique(ctx, conn); err != nil {
		return nil, err
	}
	return s, s.readHeader(ctx, conn)
}

// resolve spells what foreign keys lead to as it is spelt there: in a statement case is nothing.
func (s *structure) resolve() {
	names := map[string]string{}
	for _, t := range s.tables {
		for _, c := range t.columns {
			names[strings.ToLower(t.name+"."+c.name)] = t.name + "." + c.name
		}
	}
	for _, t := range s.tables {
		for i, c := range t.columns {
			if name, ok := names[strings.ToLower(c.refers)]; ok {
				t.columns[i].refers = name
			}
		}
	}
}

// tableType is what PRAGMA table_list says of a table.
type tableType struct {
	kind         string // table, view, virtual, shadow
	withoutRowid bool
}

// readEntries reads the statements, but not those of the tables that virtual tables keep for themselves.
func (s *structure) readEntries(ctx context.Context, conn *sql.Conn) (map[string]tableType, error) {
	types := map[string]tableType{}
	err := each(ctx, conn, `SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main'`, func(scan func(...any) error) error {
		var name string
		var t tableType
		err := scan(&name, &t.kind, &t.withoutRowid)
		types[name] = t
		return err
	})
	if err != nil {
		return nil, err
	}
	err = each(ctx, conn, `SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY rowid`,
		func(scan func(...any) error) error {
			var e entry
			if err := scan(&e.kind, &e.name, &e.table, &e.sql); err != nil {
				return err
			}
			if types[e.table].kind != "shadow" {
				s.entries = append(s.entries, e)
			}
			return nil
		})
	return types, err
}

// readHeader reads what the file's header keeps of how the database is used.
func (s *structure) readHeader(ctx context.Context, conn *sql.Conn) error {
	for _, p := range []struct {
		name string
		into any
	}{{"encoding", &s.encoding}, {"page_size", &s.pageSize}, {"journal_mode", &s.journal}} {
		if err := queryRow(ctx, conn, "PRAGMA "+p.name, p.into); err != nil {
			return err
		}
	}
	for _, name := range []string{"auto_vacuum", "application_id", "user_version"} {
		var n string
		if err := queryRow(ctx, conn, "PRAGMA "+name, &n); err != nil {
			return err
		}
		s.pragmas = append(s.pragmas, name+" = "+n)
	}
	return nil
}

// readTable reads a table's columns: nil for one that keeps nothing, one without columns for an index of another's rows.
func readTable(ctx context.Context, conn *sql.Conn, e entry, typ tableType) (*table, error) {
	t := &table{name: e.name, sql: e.sql, rows: -1}
	if typ.kind == "virtual" {
		t.virtual = true
		switch keeps, module := virtualContent(e.sql); keeps {
		case nothing:
			return nil, nil
		case elsewhere:
			return t, nil
		case unreadable:
			t.empty = true
		case unknown:
			return nil, problem.New(problem.Blocked, "the table %s is made by the module %s, of which Greenroom does not know where it keeps values", e.name, module).
				WithHint("drop it from the database, or let the app build such an index in a file of its own")
		}
	}
	if err := t.readColumns(ctx, conn); err != nil {
		return nil, err
	}
	if err := t.readReferences(ctx, conn); err != nil {
		return nil, err
	}
	switch module := moduleOf(e.sql); module {
	case "rtree", "rtree_i32": // its first column is the row's number
		t.columns[0].key, t.columns[0].unique = true, true
		return t, nil
	case "geopoly": // it declares no types; the first column is a polygon's bytes
		t.columns[0].typ = "BLOB"
	}
	// An INTEGER PRIMARY KEY is the row's number itself.
	alias := len(t.pk) == 1 && slices.ContainsFunc(t.columns, func(c column) bool { return c.key && strings.EqualFold(c.typ, "integer") })
	if !typ.withoutRowid && !alias {
		t.rowid = t.freeRowid()
	}
	return t, nil
}

func (t *table) readColumns(ctx context.Context, conn *sql.Conn) error {
	pk := map[int]string{}
	err := each(ctx, conn, `SELECT name, type, "notnull", pk, hidden FROM pragma_table_xinfo(?) ORDER BY cid`, func(scan func(...any) error) error {
		var c column
		var key, hidden int
		if err := scan(&c.name, &c.typ, &c.notNull, &key, &hidden); err != nil {
			return err
		}
		if hidden == 1 { // of a virtual table: an argument, and no column
			return nil
		}
		c.generated, c.key = hidden > 1, key > 0
		if key > 0 {
			pk[key] = c.name
		}
		t.columns = append(t.columns, c)
		return nil
	}, t.name)
	for i := 1; i <= len(pk); i++ {
		t.pk = append(t.pk, pk[i])
	}
	if err == nil && len(t.columns) == 0 {
		return problem.New(problem.Blocked, "the table %s can't be read: it has no columns that SQLite knows", t.name)
	}
	return err
}

// readReferences reads the foreign keys of one column; what a key of several leads to stands at none of them.
func (t *table) readReferences(ctx context.Context, conn *sql.Conn) error {
	keys, err := foreignKeys(ctx, conn, t.name)
	for _, k := range keys {
		if len(k.from) == 1 && len(k.to) == 1 {
			if i := t.index(k.from[0]); i >= 0 && t.columns[i].refers == "" {
				t.columns[i].refers = k.table + "." + k.to[0]
			}
		}
	}
	return err
}

func (t *table) index(name string) int {
	return slices.IndexFunc(t.columns, func(c column) bool { return strings.EqualFold(c.name, name) })
}

// freeRowid is a name of the row's number that no column has taken.
func (t *table) freeRowid() string {
	for _, name := range []string{"rowid", "_rowid_", "oid"} {
		if t.index(name) < 0 {
			return name
		}
	}
	return ""
}

// readUnique marks the columns that an index or the primary key keeps unique, by themselves or with others.
func (s *structure) readUnique(ctx context.Context, conn *sql.Conn) error {
	for _, t := range s.tables {
		if len(t.pk) == 1 {
			t.columns[t.index(t.pk[0])].unique = true
		}
		err := each(ctx, conn, `SELECT c.name, i.partial OR count(*) OVER (PARTITION BY i.name) > 1
			FROM pragma_index_list(?) AS i, pragma_index_xinfo(i.name) AS c
			WHERE i."unique" AND c.key AND c.cid >= 0`,
			func(scan func(...any) error) error {
				var name string
				var together bool
				err := scan(&name, &together)
				if i := t.index(name); err == nil && i >= 0 {
					t.columns[i].together = t.columns[i].together || together
					t.columns[i].unique = t.columns[i].unique || !together
				}
				return err
			}, t.name)
		if err != nil {
			return err
		}
	}
	return nil
}

// measure reads how many rows each table has and how large it is, and with it the whole file.
func (s *structure) measure(ctx context.Context, conn *sql.Conn) error {
	byName := map[string]*table{}
	for _, t := range s.tables {
		byName[t.name] = t
		t.rows, t.bytes = 0, 0
	}
	// A table without a rowid has rows in the inner pages of its tree too; there a name's pages are those of an index.
	err := each(ctx, conn, `SELECT coalesce(m.tbl_name, d.name), coalesce(m.type, ''), m.name = m.tbl_name, sum(d.pgsize), coalesce(m.rootpage, 0),
			sum(CASE WHEN d.pagetype = 'leaf' OR l.wr THEN d.ncell ELSE 0 END)
		FROM dbstat AS d LEFT JOIN sqlite_master AS m ON m.name = d.name
			LEFT JOIN pragma_table_list AS l ON l.name = d.name AND l.schema = 'main' AND l.type = 'table' GROUP BY d.name`,
		func(scan func(...any) error) error {
			var name, kind string
			var itself sql.NullBool
			var bytes, root, cells int64
			if err := scan(&name, &kind, &itself, &bytes, &root, &cells); err != nil {
				return err
			}
			if t := byName[name]; t != nil {
				t.bytes += bytes
				if itself.Bool && kind == "table" {
					t.rows, t.root, t.own = cells, root, bytes
				}
			}
			return nil
		})
	if err != nil {
		return err
	}
	return s.measureVirtual(ctx, conn, byName)
}

// measureVirtual counts the rows of virtual tables, and adds up the tables that they keep for themselves.
func (s *structure) measureVirtual(ctx context.Context, conn *sql.Conn, byName map[string]*table) error {
	for _, t := range s.tables {
		if !t.virtual {
			continue
		}
		if err := queryRow(ctx, conn, "SELECT count(*) FROM "+quote(t.name), &t.rows); err != nil {
			return err
		}
		err := conn.QueryRowContext(ctx, `SELECT coalesce(sum(d.pgsize), 0) FROM pragma_table_list AS l JOIN dbstat AS d ON d.name = l.name
			WHERE l.schema = 'main' AND l.type = 'shadow' AND substr(l.name, 1, length(?1) + 1) = ?1 || '_'`, t.name).Scan(&t.bytes)
		t.own = t.bytes
		if err != nil {
			return err
		}
	}
	return nil
}

// foreignKey is a foreign key of a table, with the columns on both sides.
type foreignKey struct {
	id       int
	table    string // that it leads to
	from, to []string
}

// foreignKeys reads a table's foreign keys. Where one names no columns it leads to the primary key.
func foreignKeys(ctx context.Context, conn *sql.Conn, name string) ([]foreignKey, error) {
	var keys []foreignKey
	err := each(ctx, conn, `SELECT f.id, f."table", f."from", coalesce(f."to", p.name, '') FROM pragma_foreign_key_list(?) AS f
		LEFT JOIN pragma_table_xinfo(f."table") AS p ON f."to" IS NULL AND p.pk = f.seq + 1 ORDER BY f.id, f.seq`, func(scan func(...any) error) error {
		var k foreignKey
		var from, to string
		if err := scan(&k.id, &k.table, &from, &to); err != nil {
			return err
		}
		if n := len(keys); n == 0 || keys[n-1].id != k.id {
			keys = append(keys, k)
		}
		last := &keys[len(keys)-1]
		last.from, last.to = append(last.from, from), append(last.to, to)
		return nil
	}, name)
	return keys, err
}

// each calls f for each row of a query.
func each(ctx context.Context, conn *sql.Conn, query string, f func(scan func(...any) error) error, args ...any) (err error) {
	rows, err := conn.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := rows.Close(); err == nil {
			err = closeErr
		}
	}()
	for rows.Next() {
		if err := f(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// queryRow reads the one row of a query.
func queryRow(ctx context.Context, conn *sql.Conn, query string, into ...any) error {
	return conn.QueryRowContext(ctx, query).Scan(into...)
}

// quote writes a name so that SQLite reads it as one whatever it holds.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
