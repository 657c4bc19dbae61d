package daemon

import (
	"slices"
	"testing"
)

func TestInherited(t *testing.T) {
	got := inherited([]string{"PATH=/bin", "PGOPTIONS=-c search_path=x", "AWS_SECRET_ACCESS_KEY=k", "GREENROOM_HOME=/g", "LC_ALL=C", "PGSERVICE=s"})
	if want := []string{"PATH=/bin", "GREENROOM_HOME=/g", "LC_ALL=C"}; !slices.Equal(got, want) {
		t.Errorf("the daemon gets %q, want %q", got, want)
	}
}
