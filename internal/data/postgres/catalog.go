package postgres

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"greenroom/internal/mask"
)

// catalogFile is what Load needs to know of a snapshot and the manifest does not tell. Its digest is in the manifest.
const catalogFile = "catalog.json"

// catalog is where everything in a snapshot of PostgreSQL's is.
type catalog struct {
	Tables    []catalogTable    `json:"tables"`
	Sequences []catalogSequence `json:"sequences"`
	Views     []catalogName     `json:"views"`    // materialized, that have rows
	Skeleton  string            `json:"skeleton"` // of the schema: SHA-256 of its description without the texts in it
	Public    bool              `json:"public"`   // whether there is a schema of this name, which every new database has
}

type catalogName struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
}

func (n catalogName) sql() string { return quote(n.Schema, n.Name) }

// catalogTable is a table with the columns that its files hold, in their order.
type catalogTable struct {
	catalogName
	Rule    string          `json:"rule"` // as rules and the manifest name it
	Columns []catalogColumn `json:"columns"`
	None    bool            `json:"none,omitempty"`
	Divided bool            `json:"divided,omitempty"` // into partitions
	Routed  bool            `json:"routed,omitempty"`  // a mask changed what partitions are divided by: rows find theirs anew
	Heaps   []catalogHeap   `json:"heaps"`
}

type catalogColumn struct {
	Name   string `json:"name"`
	Index  int    `json:"index"` // in the shape
	Masked bool   `json:"masked,omitempty"`
	Silent bool   `json:"silent,omitempty"` // only whether it is null counts in the table's sum

	shown bool // kept, and of a kind that a canary may be of
}

// catalogHeap is a table or a partition that holds rows itself.
type catalogHeap struct {
	catalogName
	Files []catalogPart `json:"files"`
}

type catalogPart struct {
	Name  string `json:"name"`
	Rows  int64  `json:"rows"`
	Bytes int64  `json:"bytes"`
}

type catalogSequence struct {
	catalogName
	Last   int64 `json:"last"`
	Called bool  `json:"called"`
}

func (t catalogTable) columns() []column {
	all := make([]column, len(t.Columns))
	for i, c := range t.Columns {
		all[i] = column{index: c.Index, keep: !c.Masked, silent: c.Silent, shown: c.shown}
	}
	return all
}

func (t catalogTable) names() []string {
	all := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		all[i] = c.Name
	}
	return all
}

// part is what one COPY reads into one file.
type part struct {
	table int
	query string
	bytes int64
	file  *catalogPart
}

// Parts are of even size so that jobs end together: as many as four for each job, none smaller than that many bytes on
// disk, so that a small database is few files, and none larger, so that a large one can be resumed by the eye.
const (
	smallestPart = 16 << 20
	largestPart  = 1 << 30
)

// plan divides the tables into parts, the largest first, and writes them into the catalogue.
func (t *taking) plan() []*part {
	var total int64
	for _, table := range t.moment.structure.tables {
		for _, h := range table.heaps {
			total += h.bytes
		}
	}
	size := min(max(total/int64(4*t.o.Jobs), smallestPart), largestPart)
	var parts []*part
	counted := 0
	for i, table := range t.moment.structure.tables {
		m, none := t.mask.Table(table.Name)
		entry := catalogTable{catalogName: catalogName{table.space, table.name}, Rule: table.Name, None: none, Divided: table.kind == "p"}
		r := &result{changed: make([]int64, len(table.Columns))}
		if !none {
			entry.Columns = columnsOf(table, m)
			entry.Routed = routed(table, entry.Columns)
			mine := t.planTable(i, &entry, table, size)
			parts = append(parts, mine...)
			r.left = len(mine)
			counted++
		}
		t.results = append(t.results, r)
		t.catalog.Tables = append(t.catalog.Tables, entry)
	}
	if !masking(t.catalog) { // then there is nothing to search for
		for i := range t.catalog.Tables {
			for c := range t.catalog.Tables[i].Columns {
				t.catalog.Tables[i].Columns[c].shown = false
			}
		}
	}
	t.meter.expect(counted)
	slices.SortStableFunc(parts, func(a, b *part) int { return cmp.Compare(b.bytes, a.bytes) })
	return parts
}

// masking says whether any column is masked.
func masking(c catalog) bool {
	return slices.ContainsFunc(c.Tables, func(t catalogTable) bool {
		return slices.ContainsFunc(t.Columns, func(c catalogColumn) bool { return c.Masked })
	})
}

func (t *taking) planTable(index int, entry *catalogTable, table *table, size int64) []*part {
	var parts []*part
	entry.Heaps = make([]catalogHeap, len(table.heaps))
	for i, h := range table.heaps {
		pieces := int64(1)
		if t.ranges() {
			pieces = max(1, min(h.bytes/size, h.blocks))
		}
		entry.Heaps[i] = catalogHeap{catalogName: catalogName{h.space, h.name}, Files: make([]catalogPart, pieces)}
		for n := range pieces {
			file := &entry.Heaps[i].Files[n]
			file.Name = fmt.Sprintf("rows-%05d-%05d-%05d.zst", index+1, i+1, n+1)
			parts = append(parts, &part{table: index, file: file, bytes: h.bytes / pieces, query: readQuery(h, entry.names(), n, pieces)})
		}
	}
	return parts
}

// ranges says whether the server finds rows by a range of places without reading all others.
func (t *taking) ranges() bool { return serverMajor(t.moment.exporter) >= 14 }

// readQuery reads the n-th of so many pieces of a heap. The last one has no end: what the moment sees may lie behind what
// was measured.
func readQuery(h heap, columns []string, n, pieces int64) string {
	if pieces == 1 {
		return copyText(h.sql(), columns, "TO STDOUT")
	}
	from, to := h.blocks*n/pieces, h.blocks*(n+1)/pieces
	where := fmt.Sprintf("ctid >= '(%d,0)'::tid", from)
	if n+1 < pieces {
		where += fmt.Sprintf(" AND ctid < '(%d,0)'::tid", to)
	}
	return fmt.Sprintf("COPY (SELECT %s FROM ONLY %s WHERE %s) TO STDOUT", quoteAll(columns), h.sql(), where)
}

// columnsOf are the columns that travel. What a server computes itself does not.
func columnsOf(t *table, m *mask.TableMask) []catalogColumn {
	var all []catalogColumn
	for i, c := range t.Columns {
		if c.Generated {
			continue
		}
		kept := m.Keeps(i)
		all = append(all, catalogColumn{Name: c.Name, Index: i, Masked: !kept, Silent: !kept && !verbatim(c), shown: kept && c.Kind != mask.KindBoolean && c.Kind != mask.KindTime})
	}
	return all
}

// verbatim says whether a server gives a text of this column back as it got it. What it gave once itself, it does.
func verbatim(c mask.Column) bool {
	switch c.Kind {
	case mask.KindText:
		return c.Type != "character" && c.Type != "bpchar" && !bytes.HasPrefix([]byte(c.Type), []byte("character("))
	case mask.KindEnum:
		return true
	case mask.KindJSON:
		return c.Type == "json"
	}
	return false
}

// routed says whether a row may belong into another partition than before.
func routed(t *table, columns []catalogColumn) bool {
	for _, key := range t.divided {
		for _, c := range columns {
			if c.Masked && (key == "" || key == c.Name) {
				return true
			}
		}
	}
	return false
}

func (t *taking) writeCatalog() error {
	text, err := json.Marshal(t.catalog)
	if err != nil {
		return err
	}
	return t.writeFile(catalogFile, text)
}

// writeFile writes a whole file of the snapshot.
func (t *taking) writeFile(name string, text []byte) error {
	f, err := t.folder.Create(name)
	if err != nil {
		return err
	}
	if _, err := f.Write(text); err != nil {
		return errors.Join(err, f.Abandon())
	}
	return f.Close()
}

// readCatalog reads what writeCatalog wrote.
func readCatalog(r io.Reader) (c catalog, err error) {
	decoder := json.NewDecoder(r)
	decoder.DisallowUnknownFields()
	return c, decoder.Decode(&c)
}
