package app

import (
	"slices"

	"greenroom/internal/mask"
	"greenroom/internal/migration"
)

// conditions are the part of a policy that a rehearsal's outcome depends on.
//
// A stage is made of three things: the release and production's baseline, which evidence carries by itself, and the
// settings of one environment, the one that production comes after (production itself where there is none). Of those
// settings the stage takes
//
//   - the name, because it uses that environment's secrets;
//   - the scale, as numbers of replicas;
//   - the values of its configuration;
//   - the facts that are declared to differ: accepting another one is accepting that what was rehearsed was less like
//     production;
//   - the address, where the team deploys by itself: then the rehearsal was held there;
//   - the data: whose it is, what its mask makes of it, whether a replica was read in place of the database, and whether
//     it may be where there is a way out.
//
// The verdict of a migration is measured against its budget, so that is part of the conditions as well.
//
// Which environment is production decides what the rehearsal was for, and what its baseline was read from.
//
// All else is judged anew by the policy in force whenever a gate is asked, so evidence need not depend on it: `after` and
// soak are looked up when asked; an exception takes a demand away and never gives a pass; old-on-new records that the old
// release's journeys failed, and the gate decides whether downtime is accepted; roles and keys are asked for the person
// and for the signature at hand. Rollout, hosts and what is probed belong to traffic, which a stage has none of. Environments that are
// neither production nor the one before it take no part in a rehearsal. What is accepted of containers is asked of the release. Production's own configuration and scale are in
// its baseline. How fast a copy is read and how many are kept changes nothing in the copy; the lock time-out and what
// becomes of blockers are for production. A reason and its last day change nothing about what ran.
//
// What a policy does not use is left out, so that its conditions are those that older versions computed.
type conditions struct {
	App        string            `json:"app"`
	Production string            `json:"production"`
	Like       string            `json:"like"` // the environment that the stage is built like
	Replicas   int               `json:"replicas"`
	Num        int               `json:"num"`
	Den        int               `json:"den"`
	Config     map[string]string `json:"config"`
	Differ     []string          `json:"differ"` // facts, sorted: their order in the file says nothing
	Data       *dataConditions   `json:"data,omitempty"`
	Budget     migration.Budget  `json:"budget,omitzero"`
	URL        string            `json:"url,omitempty"`
}

type dataConditions struct {
	From        string     `json:"from"`
	Rules       mask.Rules `json:"rules"`
	Replica     bool       `json:"replica"`
	NotIsolated bool       `json:"not_isolated"`
}

// Conditions identifies what the stage is built like: sha256 over the canonical JSON of that part of the policy. Evidence
// from a rehearsal counts while it is what it was.
func (p Policy) Conditions() string {
	production, _ := p.Production()
	like := p.Staging()
	c := conditions{
		App: p.App, Production: production.Name, Like: like.Name,
		Replicas: like.Scale.Replicas, Num: like.Scale.Num, Den: like.Scale.Den,
		Config: map[string]string{}, Differ: []string{}, Budget: p.Migrating.Budget, URL: like.URL,
	}
	if d := like.Data; d != nil {
		c.Data = &dataConditions{From: d.From, Rules: d.Rules, Replica: d.Replica != "", NotIsolated: d.NotIsolated != ""}
	}
	for name, v := range like.Config {
		c.Config[name] = v.Value
	}
	for _, d := range like.Differences {
		c.Differ = append(c.Differ, d.Fact)
	}
	slices.Sort(c.Differ)
	return digest(c)
}

// Staging is the environment that a stage is built like: the one that production comes after, or production itself where
// it comes after none.
func (p Policy) Staging() Environment {
	production, _ := p.Production()
	if staging, ok := p.Environment(production.After); ok {
		return staging
	}
	return production
}
