package definition

import (
	"fmt"
	"strconv"
	"strings"

	"greenroom/internal/app"
)

// maxKept bounds what a slip of the finger can fill the disk with.
const maxKept = 1000

// data is where an environment's data comes from. What it has to do with the other environments is for sources.
func (d *document) data(k dataKeys, path []string) *app.Data {
	out := &app.Data{From: k.From, Mask: k.Mask, Replica: k.Replica, NotIsolated: strings.TrimSpace(k.NotIsolated)}
	out.Rules = d.maskRules(k.Mask, append(path, "mask"))
	if at, given := d.given(append(path, "replica")...); given && d.isText(append(path, "replica")) && !variableForm.MatchString(k.Replica) {
		d.report.fault(at, quote(clip(withoutPassword(k.Replica)))+" can't be a secret's name",
			"name the secret that has the replica's address, as REPLICA_URL, and set it with `greenroom secret set REPLICA_URL --environment production`")
	}
	if k.Rate != "" {
		n, what, instead := rate(k.Rate)
		if what == "" && n == 0 {
			what, instead = "a copy that reads nothing has no end", "leave the key out for a copy as fast as it goes"
		}
		if what != "" {
			d.report.fault(d.at(append(path, "rate")...), what, instead)
		}
		out.Rate = n
	}
	if k.Keep != "" {
		n, err := strconv.Atoi(string(k.Keep))
		if err != nil || n < 1 || n > maxKept {
			d.report.fault(d.at(append(path, "keep")...), quote(clip(string(k.Keep)))+" is no number of snapshots", fmt.Sprintf("write a number from 1 to %d", maxKept))
		}
		out.Keep = n
	}
	if d.isText(append(path, "not_isolated")) && out.NotIsolated == "" {
		d.report.fault(d.at(append(path, "not_isolated")...), "`not_isolated` says nothing", "give the reason in a few words, or leave the key out")
	}
	return out
}

// withoutPassword keeps an address that somebody wrote in place of a secret's name out of the message.
func withoutPassword(s string) string {
	if scheme, _, address := strings.Cut(s, "://"); address {
		return scheme + "://…"
	}
	return s
}

// sources checks whose data it is that environments have.
func (d *document) sources(p app.Policy) {
	production, _ := p.Production()
	staging := p.Staging()
	var names []string
	for _, e := range p.Environments {
		names = append(names, e.Name)
	}
	for _, e := range p.Environments {
		if e.Data == nil {
			continue
		}
		path := []string{"environments", e.Name, "data"}
		from := e.Data.From
		_, known := p.Environment(from)
		switch {
		case e.Name == production.Name:
			d.report.fault(d.atKey(path...), production.Name+"'s data is its own", "write it for the environment that "+production.Name+" comes after")
		case from == "": // the schema tells
		case !known:
			d.report.fault(d.at(append(path, "from")...), quote(clip(from))+" is no environment", unless(from, names))
		case from != production.Name:
			d.report.fault(d.at(append(path, "from")...), fmt.Sprintf("the data of %s is not what a release will meet in %s", from, production.Name), "write "+quote("from: "+production.Name))
		case e.Name != staging.Name:
			d.report.notice(d.atKey(path...), fmt.Sprintf("rehearsals don't use the data of %s", e.Name), fmt.Sprintf("they happen on a stage like %s", staging.Name))
		}
	}
}

// checkData holds the data against the database.
func (d *document) checkData(p app.Policy, db *app.Database) {
	for _, e := range p.Environments {
		path := []string{"environments", e.Name, "data"}
		switch {
		case e.Data == nil:
		case db == nil && d.report.failed(): // it may be what a fault kept from being read
		case db == nil:
			d.report.fault(d.atKey(path...), "the app has no database", "remove `data`, or add the database to the Compose file")
		case db.Engine == app.SQLite && e.Data.Replica != "":
			d.report.fault(d.at(append(path, "replica")...), "an SQLite file has no replica", "remove `replica`")
		}
	}
}
