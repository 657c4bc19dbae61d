package postgres

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"greenroom/internal/mask"
)

//go:embed shape.sql
var shapeQuery string

//go:embed heaps.sql
var heapsQuery string

//go:embed types.sql
var typesQuery string

//go:embed literals.sql
var literalsQuery string

// Shape reads the structure of the database and none of its values, not even those in the planner's statistics.
//
// A partitioned table is one table, the root, with all that is below it. A foreign table is there too, so that somebody
// says what becomes of it. What came with an extension is not: it comes anew with the extension.
func (d *Database) Shape(ctx context.Context) (mask.Shape, error) {
	var s *structure
	err := d.with(ctx, d.name, func(conn *pgx.Conn) error {
		options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
		return pgx.BeginTxFunc(ctx, conn, options, func(tx pgx.Tx) (err error) {
			s, err = readStructure(ctx, tx)
			return err
		})
	})
	if err != nil {
		return mask.Shape{}, fmt.Errorf("read the structure of %s: %w", d.name, err)
	}
	return s.shape(), nil
}

// structure is a Shape with what it takes to read the tables.
type structure struct {
	tables   []*table
	literals []mask.Literal
}

// table is a table as rules name it, with the heaps that hold its rows.
type table struct {
	mask.Table
	space, name string
	kind        string
	heaps       []heap
	divided     []string // columns that partitions are divided by; "" is an expression
}

// heap is where rows are: a table itself, or a leaf below a partitioned one.
type heap struct {
	space, name string
	kind        string
	blocks      int64
	bytes       int64 // with what is stored beside it, without indexes
}

func (h heap) sql() string { return quote(h.space, h.name) }

func (s *structure) shape() mask.Shape {
	shape := mask.Shape{Literals: s.literals}
	for _, t := range s.tables {
		shape.Tables = append(shape.Tables, t.Table)
	}
	return shape
}

// ruleName is how rules name a table: plain in the schema public, behind its schema's name elsewhere. A part is quoted only
// where it has a dot or a quote in it, so that no two tables have the same.
func ruleName(space, name string) string {
	if space == "public" {
		return rulePart(name)
	}
	return rulePart(space) + "." + rulePart(name)
}

func rulePart(name string) string {
	if strings.ContainsAny(name, `."`) {
		return quote(name)
	}
	return name
}

// querier is a transaction, however it was begun.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

func readStructure(ctx context.Context, tx querier) (*structure, error) {
	if _, err := tx.Exec(ctx, "SET LOCAL search_path = ''"); err != nil {
		return nil, err
	}
	types, err := readTypes(ctx, tx)
	if err != nil {
		return nil, err
	}
	s := &structure{}
	byOID, err := s.readColumns(ctx, tx, types)
	if err != nil {
		return nil, err
	}
	if err := readHeaps(ctx, tx, byOID); err != nil {
		return nil, err
	}
	slices.SortFunc(s.tables, func(a, b *table) int { return cmp.Compare(a.Name, b.Name) })
	return s, s.readLiterals(ctx, tx)
}

func (s *structure) readColumns(ctx context.Context, tx querier, types typeTable) (map[uint32]*table, error) {
	rows, err := tx.Query(ctx, shapeQuery)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	byOID := map[uint32]*table{}
	for rows.Next() {
		var oid uint32
		var space, name, kind string
		var number *int16
		var column, written, refSpace, refTable, refColumn *string
		var typ *uint32
		var modifier *int32
		var notNull *bool
		var generated, unique, together, key bool
		if err := rows.Scan(&oid, &space, &name, &kind, &number, &column, &written, &typ, &modifier, &notNull,
			&generated, &unique, &together, &key, &refSpace, &refTable, &refColumn); err != nil {
			return nil, err
		}
		t := byOID[oid]
		if t == nil {
			t = &table{Table: mask.Table{Name: ruleName(space, name)}, space: space, name: name, kind: kind}
			byOID[oid] = t
			s.tables = append(s.tables, t)
		}
		if number == nil {
			continue
		}
		c := mask.Column{Name: *column, Type: *written, NotNull: *notNull, Unique: unique, Together: together, Key: key, Generated: generated}
		c.Kind, c.Length, c.Labels = types.kind(*typ, *modifier)
		if refTable != nil {
			c.Refers = ruleName(*refSpace, *refTable) + "." + rulePart(*refColumn)
		}
		t.Columns = append(t.Columns, c)
	}
	return byOID, rows.Err()
}

func readHeaps(ctx context.Context, tx querier, byOID map[uint32]*table) error {
	rows, err := tx.Query(ctx, heapsQuery)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var root, oid uint32
		var h heap
		var tuples, total int64
		var divided []string
		if err := rows.Scan(&root, &oid, &h.space, &h.name, &h.kind, &tuples, &h.blocks, &h.bytes, &total, &divided); err != nil {
			return err
		}
		t := byOID[root]
		if t == nil {
			continue // an extension's
		}
		t.divided = append(t.divided, divided...)
		if h.kind == "p" {
			continue
		}
		t.heaps = append(t.heaps, h)
		t.Bytes, t.Index = t.Bytes+h.bytes, t.Index+total-h.bytes
		if tuples < 0 || t.Rows < 0 {
			t.Rows = -1
		} else {
			t.Rows += tuples
		}
	}
	return rows.Err()
}

// readLiterals finds the texts in what the schema computes with. A text that stands there twice is told once.
func (s *structure) readLiterals(ctx context.Context, tx querier) error {
	rows, err := tx.Query(ctx, literalsQuery)
	if err != nil {
		return err
	}
	seen := map[mask.Literal]bool{}
	var where, sql string
	_, err = pgx.ForEachRow(rows, []any{&where, &sql}, func() error {
		for _, q := range mask.Literals(sql, mask.PostgreSQL) {
			if l := (mask.Literal{Where: where, Text: q.Text}); q.Text != "" && !seen[l] {
				seen[l] = true
				s.literals = append(s.literals, l)
			}
		}
		return nil
	})
	slices.SortFunc(s.literals, func(a, b mask.Literal) int {
		return cmp.Or(cmp.Compare(a.Where, b.Where), cmp.Compare(a.Text, b.Text))
	})
	return err
}

// typeTable is what is known of each type, by its number in the catalogue.
type typeTable map[uint32]typeRow

type typeRow struct {
	name            string
	class, category string
	base, element   uint32
	modifier        int32
	labels          []string
}

func readTypes(ctx context.Context, tx querier) (typeTable, error) {
	rows, err := tx.Query(ctx, typesQuery)
	if err != nil {
		return nil, err
	}
	types := typeTable{}
	var oid uint32
	var t typeRow
	_, err = pgx.ForEachRow(rows, []any{&oid, &t.name, &t.class, &t.category, &t.base, &t.modifier, &t.element, &t.labels}, func() error {
		types[oid] = t
		return nil
	})
	return types, err
}

var kinds = map[string]mask.Kind{
	"text": mask.KindText, "varchar": mask.KindText, "bpchar": mask.KindText, "name": mask.KindText,
	"int2": mask.KindNumber, "int4": mask.KindNumber, "int8": mask.KindNumber, "numeric": mask.KindNumber,
	"float4": mask.KindNumber, "float8": mask.KindNumber,
	"bool": mask.KindBoolean,
	"date": mask.KindTime, "timestamp": mask.KindTime, "timestamptz": mask.KindTime,
	"uuid": mask.KindUUID,
	"json": mask.KindJSON, "jsonb": mask.KindJSON,
	"xml":   mask.KindXML,
	"bytea": mask.KindBytes,
	"inet":  mask.KindNetwork, "cidr": mask.KindNetwork, "macaddr": mask.KindNetwork, "macaddr8": mask.KindNetwork,
}

// kind is what a type is to a mask. A domain is what it is made of, and its length is that of the innermost that has one.
// Length and labels of an array are its elements'.
func (types typeTable) kind(oid uint32, modifier int32) (kind mask.Kind, length int, labels []string) {
	t := types[oid]
	for t.class == "d" {
		if modifier < 0 {
			modifier = t.modifier
		}
		t = types[t.base]
	}
	system, builtIn := strings.CutPrefix(t.name, "pg_catalog.")
	switch {
	case t.class == "e":
		return mask.KindEnum, 0, t.labels
	case t.category == "A" && t.element != 0:
		_, length, labels = types.kind(t.element, modifier)
		return mask.KindArray, length, labels
	case !builtIn:
		if strings.HasSuffix(t.name, ".citext") {
			return mask.KindText, 0, nil
		}
		return mask.KindOther, 0, nil
	}
	kind = cmp.Or(kinds[system], mask.KindOther)
	switch {
	case (system == "varchar" || system == "bpchar") && modifier > 4:
		length = int(modifier) - 4 // four bytes of header are counted in
	case system == "name":
		length = 63
	}
	return kind, length, nil
}
