package definition

import (
	"context"
	"strings"
)

// Draft is a definition to begin with. Nothing is written: that is for the person's command to do.
type Draft struct {
	GreenroomYAML string
	NoEngine      bool // as Inspection's
	Findings      []Finding
	Notices       []Notice
}

// Init drafts a definition for the Compose file in a folder, and asks engine as Inspect does. Once the additions of its findings are made it loads without
// a fault, except for findings that have no Add. Whether there is a definition already is not asked here; the errors
// are Inspect's.
func Init(ctx context.Context, dir string, engine func(context.Context) bool) (Draft, error) {
	in, err := Inspect(ctx, dir, engine)
	if err != nil {
		return Draft{}, err
	}
	return Draft{draft(dir, in), in.NoEngine, in.Findings, in.Notices}, nil
}

func draft(dir string, in Inspection) string {
	var b strings.Builder
	line := func(s string) { b.WriteString(s + "\n") }
	line("# What Greenroom does with " + in.Compose + ", which is production. `greenroom schema` describes every key.")
	line("app: " + in.App)
	if in.Driver == driverDocker {
		line("driver: docker                # its services are containers; without the line they are plain processes")
	}
	line("")
	line("environments:")
	line("  staging: {}                # production with declared differences, such as")
	line(`  #  scale: {to: 1, because: "cost: one machine", until: 2027-06-30}`)
	line("  #  config: {PAYMENT_URL: {value: http://127.0.0.1:9000, because: the provider's sandbox}}")
	if in.Contents.Database != nil {
		line("  #  data: {from: production, mask: mask.yaml}   # rehearse on masked data: `greenroom mask init` writes mask.yaml")
	}
	line("  production: {after: staging}")
	line("  #  rollout: {steps: [10%, 50%, 100%], watch: 5m, max_errors: 0.5%}")
	line("")
	draftMigrations(line, dir, in)
	draftChecks(line, dir)
	line("")
	line("# gates:                     # production takes what passed every check in a rehearsal; besides, it can ask for")
	line("#   production: {soak: 30m}  # that long in staging first")
	return b.String()
}

func draftMigrations(line func(string), dir string, in Inspection) {
	if in.Contents.Database == nil {
		return
	}
	run, folder := migrationGuess(dir), ""
	if run == "" {
		folder = folderGuess(dir, in.Contents)
	}
	switch {
	case run != "":
		line("migrations: {run: " + run + "}")
	case folder != "":
		line("migrations: {dir: " + folder + "}   # Greenroom runs what is in it, as the tool would")
	default:
		line("# How a release changes the schema: a command, a folder of migrations as `dir: migrations`, or `at: start` when the")
		line("# app does it as it starts.")
		line("# migrations: {run: bin/migrate}")
	}
	line("")
}

func draftChecks(line func(string), dir string) {
	unit, journey := testGuess(dir), journeyGuess(dir)
	if unit == "" && journey == "" {
		line("# checks:                    # a journey does what a user does, against the app at $APP_URL")
		line("#   smoke: {run: ./test/smoke, journey: true, production: true}")
		return
	}
	line("checks:")
	if unit != "" {
		line("  unit: " + unit)
	}
	if journey != "" {
		line("  smoke: {run: " + journey + ", journey: true, production: true}")
		return
	}
	line("  # A journey does what a user does, against the app at $APP_URL. Without one a rehearsal proves little.")
	line("  # smoke: {run: ./test/smoke, journey: true, production: true}")
}
