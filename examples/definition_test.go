package examples

import (
	"path/filepath"
	"testing"

	"greenroom/internal/definition"
)

func TestTheDefinitionIsOne(t *testing.T) {
	dir := materialised(t, Base)
	shop, notices, err := definition.Load(t.Context(), filepath.Join(dir, definition.FileName), definition.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range notices {
		t.Log(n)
	}
	web, ok := shop.Contents.Public()
	if !ok || web.Name != "web" || web.Replicas != 10 {
		t.Errorf("the public service is %q with %d replicas, want web with 10", web.Name, web.Replicas)
	}
	if db := shop.Contents.Database; db == nil || db.Service != "db" || db.Name != "shop" {
		t.Errorf("the database is %+v", db)
	}
	if staging, ok := shop.Policy.Environment("staging"); !ok || staging.Scale.Of(web.Replicas) != 4 {
		t.Errorf("staging is %+v, want 4 of 10 replicas", staging)
	}
	if staging, _ := shop.Policy.Environment("staging"); staging.Data == nil || staging.Data.From != "production" || staging.Data.NotIsolated == "" {
		t.Errorf("staging's data is %+v, want production's, also where a stage can't be isolated", staging.Data)
	}
	for _, c := range shop.Contents.Checks {
		if c.Journey && (len(c.Files) != 1 || !c.Production) {
			t.Errorf("the journey %s travels with %v, in production: %t", c.Name, c.Files, c.Production)
		}
	}
}
