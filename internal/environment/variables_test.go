package environment

import (
	"slices"
	"strings"
	"testing"

	"greenroom/internal/app"
	"greenroom/internal/release"
)

func exampleVariables() variables {
	return variables{
		environment: "staging", release: release.Of([]byte("r")), data: "/data", database: "postgres://u:p@127.0.0.1:5000/shop", port: 20001,
		contents: app.Contents{
			Services: []app.Service{{Name: "web", Volumes: []string{"up-loads"}}},
			Database: &app.Database{Engine: app.Postgres, Variable: "DATABASE_URL"},
		},
		config:    map[string]app.Config{"PAYMENT_URL": {Value: "http://sandbox"}},
		secrets:   map[string]string{"API_KEY": "s3cret", "OTHER": "not for you"},
		addresses: map[string]string{"pay-ment": "127.0.0.1:20002"},
	}
}

func TestVariables(t *testing.T) {
	v := exampleVariables()
	env := v.of(app.Service{
		Env: map[string]string{
			"PAYMENT_URL": "http://live", "ADDR": "http://${PAY_MENT_HOST}:${PAY_MENT_PORT}", "LISTEN": ":${PORT}",
			"UPLOADS": "${UP_LOADS_DIR}", "KEEP": "${SOMETHING_ELSE}",
		},
		Secrets: []string{"API_KEY"},
	})
	for name, want := range map[string]string{
		"PAYMENT_URL":           "http://sandbox", // the environment's difference wins
		"ADDR":                  "http://127.0.0.1:20002",
		"LISTEN":                ":20001",
		"PORT":                  "20001",
		"UPLOADS":               "/data/up-loads",
		"KEEP":                  "${SOMETHING_ELSE}", // the shell's
		"API_KEY":               "s3cret",
		"DATABASE_URL":          "postgres://u:p@127.0.0.1:5000/shop",
		"GREENROOM_ENVIRONMENT": "staging",
	} {
		if env[name] != want {
			t.Errorf("%s is %q, want %q", name, env[name], want)
		}
	}
	if _, has := env["OTHER"]; has {
		t.Error("the service got a secret that it does not name")
	}
}

// A database's address that the definition gives stays, unless Greenroom has another database in its place.
func TestDatabaseVariable(t *testing.T) {
	v := exampleVariables()
	given := app.Service{Env: map[string]string{"DATABASE_URL": "postgres://given"}}
	if got := v.of(given)["DATABASE_URL"]; got != "postgres://given" {
		t.Errorf("DATABASE_URL is %q", got)
	}
	v.contents.Database = &app.Database{Engine: app.Postgres, Variable: "DATABASE_URL", External: true}
	if got := v.of(given)["DATABASE_URL"]; got != v.database {
		t.Errorf("on a stage DATABASE_URL is %q: production's", got)
	}
}

func TestCheckGetsNoSecrets(t *testing.T) {
	env := exampleVariables().forCheck("http://127.0.0.1:7001")
	if env["APP_URL"] != "http://127.0.0.1:7001" || env["DATABASE_URL"] == "" {
		t.Errorf("APP_URL %q, DATABASE_URL %q", env["APP_URL"], env["DATABASE_URL"])
	}
	for name, value := range env {
		if strings.Contains(value, "s3cret") || name == "PORT" {
			t.Errorf("a check got %s=%s", name, value)
		}
	}
}

// What a replica's output is searched for is what stands in its environment, and no other service's secrets.
func TestSecretsOf(t *testing.T) {
	v := exampleVariables()
	v.secrets["DB_PASSWORD"] = "pw"
	v.contents.Database.PasswordSecret = "DB_PASSWORD"
	if got := v.secretsOf(app.Service{Secrets: []string{"API_KEY", "UNSET"}}); !slices.Equal(got, []string{"s3cret", "pw"}) {
		t.Errorf("%q", got)
	}
}

func TestStartOrder(t *testing.T) {
	dep := func(names ...string) (out []app.Dependency) {
		for _, n := range names {
			out = append(out, app.Dependency{Service: n, Condition: app.Healthy})
		}
		return out
	}
	c := app.Contents{Services: []app.Service{
		{Name: "api", Kind: app.KindProcess, DependsOn: dep("db", "cache")},
		{Name: "cache", Kind: app.KindProcess},
		{Name: "db", Kind: app.KindPostgres},
		{Name: "web", Kind: app.KindProcess, DependsOn: dep("api")},
	}}
	order, err := startOrder(c)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range order {
		names = append(names, s.Name)
	}
	if got := strings.Join(names, " "); got != "cache api web" {
		t.Errorf("order %s", got)
	}
	c.Services = append(c.Services, app.Service{Name: "worker", Kind: app.KindProcess, DependsOn: dep("db")})
	if order, err = startOrder(c); err != nil {
		t.Fatal(err)
	}
	var together []string
	for _, wave := range waves(c, order) {
		names = nil
		for _, s := range wave {
			names = append(names, s.Name)
		}
		together = append(together, strings.Join(names, "+"))
	}
	if got := strings.Join(together, " "); got != "cache api+worker web" {
		t.Errorf("waves %s", got)
	}
	c.Services[1].DependsOn = dep("web")
	if _, err := startOrder(c); err == nil {
		t.Error("a circle has an order")
	}
}

func TestEach(t *testing.T) {
	seen := make([]bool, 100)
	if err := each(len(seen), func(i int) error { seen[i] = true; return nil }); err != nil {
		t.Fatal(err)
	}
	for i, s := range seen {
		if !s {
			t.Errorf("%d was left out", i)
		}
	}
}
