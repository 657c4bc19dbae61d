package app

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"greenroom/internal/mask"
	"greenroom/internal/migration"
)

// What Changes says about production's data outside production, and about what a migration may do to it.

// data compares where an environment's data comes from. That it is production's makes a rehearsal a harder one.
func (c *comparison) data(path string, was, is *Data, voids func(bool) string) {
	if was == nil || is == nil {
		note := voids(true)
		if note != "" {
			note = direction(was == nil)
		}
		compare(c, path, was, is, dataText, voids(was != is), note, letsOut(opensData(was, is)))
		return
	}
	compare(c, path+".from", was.From, is.From, word, voids(was.From != is.From), letsOut(was.From != is.From))
	compare(c, path+".mask", was.Mask, is.Mask, word)
	c.rules(path+".mask", was.Rules, is.Rules, voids)
	compare(c, path+".replica", was.Replica, is.Replica, word, voids((was.Replica == "") != (is.Replica == "")))
	compare(c, path+".rate", was.Rate, is.Rate, rateText)
	compare(c, path+".keep", was.Keep, is.Keep, countText)
	open := (was.NotIsolated == "") != (is.NotIsolated == "")
	compare(c, path+".not_isolated", was.NotIsolated, is.NotIsolated, word, voids(open), letsOut(open && is.NotIsolated != ""))
}

// rules compares the rules of a mask column by column. Two that say the same in another way can still differ as JSON.
func (c *comparison) rules(path string, was, is mask.Rules, voids func(bool) string) {
	count := len(c.changes)
	for _, table := range sortedUnion(was.Tables, is.Tables) {
		before, had := was.Tables[table]
		now, has := is.Tables[table]
		path := path + "." + word(table)
		if !had || !has {
			compare(c, path, optional(before, had), optional(now, has), maybe(tableText), voids(true), letsOut(opensTable(before, now)))
			continue
		}
		c.table(path, before, now, voids)
	}
	if count == len(c.changes) {
		compare(c, path+" (no rule)", was, is, func(r mask.Rules) string { return string(canonical(r)) }, voids(true))
	}
}

func (c *comparison) table(path string, was, is mask.TableRules, voids func(bool) string) {
	compare(c, path+" (rows)", was.Rows, is.Rows, func(rows string) string { return word(cmp.Or(rows, "all")) },
		voids(true), letsOut(was.Rows == rowsNone && opensTable(was, is)))
	for _, column := range sortedUnion(was.Columns, is.Columns) {
		before, had := was.Columns[column]
		now, has := is.Columns[column]
		compare(c, path+"."+word(column), optional(before, had), optional(now, has), maybe(ruleText),
			voids(true), letsOut(has && is.Rows != rowsNone && opens(before, now)))
	}
}

func letsOut(yes bool) string {
	if yes {
		return LetsOut
	}
	return ""
}

// rowsNone is the mask.TableRules.Rows of a table that is copied empty, and useKeep the rule that lets values go as they
// are. useJSON and useArray hold rules for the parts of a value, useDate says by how much it is off.
const (
	rowsNone = "none"
	useKeep  = "keep"
	useJSON  = "json"
	useArray = "array"
	useDate  = "date"
)

// opensData says whether data that was not there before lets values out.
func opensData(was, is *Data) bool {
	if was != nil || is == nil {
		return false
	}
	if is.NotIsolated != "" {
		return true
	}
	for _, table := range is.Rules.Tables {
		if opensTable(mask.TableRules{}, table) {
			return true
		}
	}
	return false
}

// opensTable says whether values of a table leave production as they are that did not before.
func opensTable(was, is mask.TableRules) bool {
	if is.Rows == rowsNone {
		return false
	}
	for name, now := range is.Columns {
		before := was.Columns[name]
		if was.Rows == rowsNone {
			before = mask.Rule{}
		}
		if opens(before, now) {
			return true
		}
	}
	return false
}

// opens says the same of a column. It may say so of a change that lets nothing out, never the reverse.
func opens(was, is mask.Rule) bool {
	switch {
	case was.Use == useKeep:
		return false
	case is.Use == useKeep:
		return true
	case is.Use == useDate:
		return was.Use == useDate && daysOf(is) < daysOf(was) // nearer to the truth
	case is.Use == useArray:
		return opens(elements(was), elements(is))
	case is.Use == useJSON:
		return opensPaths(was.Paths, is.Paths)
	}
	return false
}

// daysOf is how far a rule shifts a date at most; 0 where that can't be read.
func daysOf(r mask.Rule) int {
	number, _ := strings.CutSuffix(cmp.Or(r.Shift, mask.DefaultShift), "d")
	days, err := strconv.Atoi(number)
	if err != nil {
		return 0
	}
	return days
}

func elements(r mask.Rule) mask.Rule {
	if r.Of == nil {
		return mask.Rule{}
	}
	return *r.Of
}

// opensPaths: a path that is gone falls to the rule of a longer or shorter one, which may keep it.
func opensPaths(was, is map[string]mask.Rule) bool {
	for path, now := range is {
		if opens(was[path], now) {
			return true
		}
	}
	gone := len(common(slices.Collect(maps.Keys(was)), slices.Collect(maps.Keys(is)))) < len(was)
	return gone && keeps(is)
}

func keeps(rules map[string]mask.Rule) bool {
	for _, r := range rules {
		if opens(mask.Rule{}, r) {
			return true
		}
	}
	return false
}

// migrating compares what a migration may do to production.
func (c *comparison) migrating() {
	was, is := c.before.Migrating, c.now.Migrating
	const budget = "migrations.budget."
	compare(c, budget+"blocked_reads", was.Budget.BlockedReads, is.Budget.BlockedReads, durationText,
		allows(int64(was.Budget.Default().BlockedReads), int64(is.Budget.Default().BlockedReads))...)
	compare(c, budget+"blocked_writes", was.Budget.BlockedWrites, is.Budget.BlockedWrites, durationText,
		allows(int64(was.Budget.Default().BlockedWrites), int64(is.Budget.Default().BlockedWrites))...)
	compare(c, budget+"duration", was.Budget.Duration, is.Budget.Duration, durationText,
		allows(cmp.Or(int64(was.Budget.Duration), math.MaxInt64), cmp.Or(int64(is.Budget.Duration), math.MaxInt64))...)
	compare(c, budget+"growth", was.Budget.Growth, is.Budget.Growth, sizeText,
		allows(cmp.Or(was.Budget.Growth, math.MaxInt64), cmp.Or(is.Budget.Growth, math.MaxInt64))...)
	compare(c, budget+"rows_lost", was.Budget.RowsLost, is.Budget.RowsLost, rowsText,
		allows(rowsLost(was.Budget), rowsLost(is.Budget))...)
	compare(c, "migrations.lock_timeout", was.LockTimeout, is.LockTimeout, durationText)
	ends := ""
	if is.EndBlockers {
		ends = EndsSessions
	}
	compare(c, "migrations.blockers", was.EndBlockers, is.EndBlockers, blockersText, ends)
}

// allows are the notes of a budget that changes. The verdict of a migration depends on it.
func allows(was, is int64) []string {
	if was == is {
		return []string{VoidsRehearsals}
	}
	return []string{VoidsRehearsals, direction(is < was)}
}

func rowsLost(b migration.Budget) int64 {
	if b.RowsLost < 0 {
		return math.MaxInt64
	}
	return b.RowsLost
}

// dataText tells what a mask lets out in numbers; the rules themselves stand in its file.
func dataText(d *Data) string {
	if d == nil {
		return ""
	}
	rules, kept := 0, 0
	for _, t := range d.Rules.Tables {
		for _, r := range t.Columns {
			rules++
			if t.Rows != rowsNone && opens(mask.Rule{}, r) {
				kept++
			}
		}
	}
	parts := []string{"from " + word(d.From), fmt.Sprintf("mask %s (%d of %d rules let values out)", word(d.Mask), kept, rules)}
	add := func(key, text string) {
		if text != "" {
			parts = append(parts, key+" "+text)
		}
	}
	add("replica", word(d.Replica))
	add("rate", rateText(d.Rate))
	add("keep", countText(d.Keep))
	add("not_isolated", word(d.NotIsolated))
	return strings.Join(parts, ", ")
}

func tableText(t mask.TableRules) string {
	var out []string
	if t.Rows != "" {
		out = append(out, "rows "+word(t.Rows))
	}
	for _, name := range slices.Sorted(maps.Keys(t.Columns)) {
		out = append(out, word(name)+" "+ruleText(t.Columns[name]))
	}
	return cmp.Or(strings.Join(out, "; "), "no columns")
}

// ruleText is a rule as one word, or with what it takes behind it: "number low 1, high 9".
func ruleText(r mask.Rule) string {
	var args []string
	add := func(key, value string) {
		if value != "" {
			args = append(args, key+" "+word(value))
		}
	}
	add("value", r.Value)
	add("low", r.Low)
	add("high", r.High)
	add("shift", r.Shift)
	if r.Of != nil {
		args = append(args, "of "+ruleText(*r.Of))
	}
	for _, path := range slices.Sorted(maps.Keys(r.Paths)) {
		args = append(args, word(path)+" "+ruleText(r.Paths[path]))
	}
	use := cmp.Or(word(r.Use), `""`)
	if len(args) == 0 {
		return use
	}
	return use + " (" + strings.Join(args, ", ") + ")"
}

// units of bytes, the largest first. Those of a thousand come before those of 1024 that are nearly the same.
var units = []struct {
	name string
	size int64
}{
	{"TiB", 1 << 40}, {"TB", 1e12}, {"GiB", 1 << 30}, {"GB", 1e9}, {"MiB", 1 << 20}, {"MB", 1e6}, {"KiB", 1 << 10}, {"kB", 1e3},
}

// sizeText is a number of bytes in the largest unit that says all of it.
func sizeText(n int64) string {
	if n == 0 {
		return ""
	}
	for _, u := range units {
		if n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}

func rateText(n int64) string {
	if n == 0 {
		return ""
	}
	return sizeText(n) + "/s"
}

func countText(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func rowsText(n int64) string {
	switch n {
	case 0:
		return ""
	case -1:
		return "any"
	}
	return strconv.FormatInt(n, 10)
}

func blockersText(end bool) string {
	if end {
		return "end"
	}
	return ""
}
