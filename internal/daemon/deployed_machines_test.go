package daemon

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"greenroom/internal/api"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// teamOnTwoMachines is an app that its team deploys itself, from two machines that have a Greenroom each.
const teamOnTwoMachines = `app: app
driver: command
deploy:
  run: echo $GREENROOM_RELEASE >CONTROL_FOLDER/live-$GREENROOM_ENVIRONMENT
  files: [VERSION]
rollback: echo $GREENROOM_RELEASE >CONTROL_FOLDER/live-$GREENROOM_ENVIRONMENT; echo back >>CONTROL_FOLDER/back
status: {run: cat CONTROL_FOLDER/live-$GREENROOM_ENVIRONMENT, timeout: 20s}
stop: rm -f CONTROL_FOLDER/live-$GREENROOM_ENVIRONMENT
environments:
  staging:
    url: URL
    probe: {path: /, rate: 50}
    rollout: {watch: 200ms}
  production:
    after: staging
    url: URL
    probe: {path: /, rate: 50}
    rollout: {watch: 200ms}
keys:
  staging: {key: "STAGING", environments: [rehearsal, staging, build]}
  production: {key: "PRODUCTION", environments: [production]}
checks:
  journey: {run: test -n "$APP_URL", journey: true, production: true}
`

func (m *machines) wantDeployed(environment string, r release.Digest) {
	m.Helper()
	text, err := os.ReadFile(filepath.Join(m.staging.control, "live-"+environment))
	if got := strings.TrimSpace(string(text)); err != nil || got != r.Short() {
		m.Errorf("%s is deployed in %s (%v), want %s", got, environment, err, r.Short())
	}
}

// TestATeamOnTwoMachines rehearses a team's own deploy on staging's machine, against what production's said of itself, and takes
// what was found to production's.
func TestATeamOnTwoMachines(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	m := newMachinesWith(t, sources{version: "v1"}, strings.ReplaceAll(teamOnTwoMachines, "URL", server.URL))

	r := m.staging.build(m.sources)
	rehearse := api.RunRequest{Kind: plan.Rehearsal, App: appUnderTest, Release: string(r)}
	_, err := m.staging.client.Start(m.staging.ctx(), rehearse)
	wantProblem(m, err, problem.Blocked, "production lives elsewhere", "greenroom evidence export production --baseline")
	m.tellStaging()
	var before release.Digest
	for _, version := range []string{"v1", "v2"} {
		next := m.rehearsed(version, "")
		bundle := m.staging.bundle(next)
		if taken, err := m.production.takeBundle(bundle); err != nil || taken.Taken == 0 || len(taken.Faults) > 0 {
			t.Fatalf("taken is %+v, %v", taken, err)
		}
		rehearse.Release = string(next)
		_, err = m.production.client.Start(m.production.ctx(), rehearse)
		wantProblem(m, err, problem.Invalid, "is rehearsed in staging itself, which lives elsewhere", "there: greenroom rehearse "+next.Short())
		if d := m.explained(next); !d.Allowed {
			t.Fatalf("production does not take %s: %+v", version, d)
		}
		m.production.wantOutcome(m.production.promote(next), plan.Succeeded)
		m.wantDeployed("production", next)
		m.wantDeployed("staging", next)
		if _, err := os.Stat(filepath.Join(m.staging.control, "back")); (err == nil) != (before != "") {
			t.Errorf("%s: the way back to %q was rehearsed: %v", version, before.Short(), err)
		}
		before = next
		m.tellStaging()
	}
}
