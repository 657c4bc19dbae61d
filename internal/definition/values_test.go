package definition

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"

	"greenroom/internal/app"
)

func TestSchemaIsForEditors(t *testing.T) {
	b, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	if doc["$schema"] != "https://json-schema.org/draft/2020-12/schema" {
		t.Errorf("$schema is %v", doc["$schema"])
	}
	if required, _ := doc["required"].([]any); len(required) != 1 || required[0] != "app" {
		t.Errorf("required is %v: only app has to be there", required)
	}
	undescribed(t, "", doc)
	if strings.Contains(string(b), "$ref") {
		t.Error("the schema refers to something")
	}
}

// undescribed reports keys for which an editor would have nothing to show.
func undescribed(t *testing.T, path string, v any) {
	switch x := v.(type) {
	case map[string]any:
		props, _ := x["properties"].(map[string]any)
		for name, p := range props {
			if d, _ := p.(map[string]any)["description"].(string); d == "" {
				t.Errorf("%s.%s has no description", path, name)
			}
		}
		for name, sub := range x {
			undescribed(t, path+"."+name, sub)
		}
	case []any:
		for _, sub := range x {
			undescribed(t, path, sub)
		}
	}
}

func TestUnless(t *testing.T) {
	known := []string{"after", "config", "scale", "environments"}
	for word, want := range map[string]string{
		"afer": "did you mean `after`?", "sclae": "did you mean `scale`?", "confg": "did you mean `config`?",
		"environment": "did you mean `environments`?", "zzz": "known are `after`, `config`, `environments` and `scale`", "x": "known are `after`, `config`, `environments` and `scale`",
	} {
		if got := unless(word, known); got != want {
			t.Errorf("unless(%s) = %s, want %s", word, got, want)
		}
	}
}

func TestDay(t *testing.T) {
	got, what, _ := day("2027-06-30")
	if want := time.Date(2027, 6, 30, 23, 59, 59, 0, time.UTC); what != "" || !got.Equal(want) {
		t.Errorf("day = %v (%s), want %v", got, what, want)
	}
}

func TestRequested(t *testing.T) {
	for line, want := range map[string]string{
		"curl -f http://localhost:8080/up":                                     "/up",
		"curl -fsS http://127.0.0.1:8080/healthz?full=1 || exit 1":             "/healthz?full=1",
		"wget --no-verbose --tries=1 --spider http://localhost:8080 || exit 1": "/",
		"wget -qO- http://localhost:${PORT}/ready > /dev/null":                 "/ready",
		"/usr/bin/curl --fail --silent --max-time 3 http://0.0.0.0:8080/x":     "/x",
		"curl -f http://localhost:9090/up":                                     "",
		"curl -f http://example.com/up":                                        "",
		"curl -X POST http://localhost:8080/up":                                "",
		"curl -f http://localhost:8080/a http://localhost:8080/b":              "",
		"pg_isready": "",
		"curl":       "",
	} {
		if got, ok := requested(line, 8080); got != want || ok != (want != "") {
			t.Errorf("requested(%q) = %q, %v, want %q", line, got, ok, want)
		}
	}
}

func TestSecretName(t *testing.T) {
	for name, want := range map[string]bool{
		"DB_PASSWORD": true, "API_TOKEN": true, "SECRET_KEY_BASE": true, "STRIPE_KEY": true, "JWT_SECRET": true, "TOKEN": true,
		"PASSWORD_FILE": false, "PUBLIC_KEY": false, "KEYBOARD": false, "MONKEY": false, "TOKEN_TTL": false, "KEY_PREFIX": false,
		"PASSWORD_RESET_URL": false, "DATABASE_URL": false,
	} {
		if got := secretName(name); got != want {
			t.Errorf("secretName(%s) = %v", name, got)
		}
	}
}

func TestIsPostgres(t *testing.T) {
	for image, want := range map[string]bool{
		"postgres": true, "postgres:16-alpine": true, "docker.io/library/postgres@sha256:00": true, "bitnami/postgresql:16": true,
		"registry.example.com:5000/postgres:15": true, "postgis/postgis": false, "pgvector/pgvector:pg16": false, "redis": false, "postgres-exporter": false,
	} {
		if got := isPostgres(image); got != want {
			t.Errorf("isPostgres(%s) = %v", image, got)
		}
	}
}

func TestWithVariables(t *testing.T) {
	m := mapper{}
	db := service{ServiceConfig: types.ServiceConfig{Name: "db", ContainerSpec: types.ContainerSpec{Image: "postgres"}}}
	for value, want := range map[string]string{
		"postgres://u:p@db:5432/x":      "postgres://u:p@${DB_HOST:-db}:${DB_PORT:-5432}/x",
		"postgres://u:p@db/x?a=b":       "postgres://u:p@${DB_HOST:-db}:${DB_PORT:-5432}/x?a=b",
		"db:5432":                       "${DB_HOST:-db}:${DB_PORT:-5432}",
		"a:1,db:5432,c:2":               "a:1,${DB_HOST:-db}:${DB_PORT:-5432},c:2",
		"jdbc:postgresql://db:5432/x":   "jdbc:postgresql://${DB_HOST:-db}:${DB_PORT:-5432}/x",
		"http://db.example.com/":        "http://db.example.com/",
		"http://mydb/":                  "http://mydb/",
		"postgres://db:secret@host/db":  "postgres://db:secret@host/db",
		"postgres://${DB_HOST}:5432/db": "postgres://${DB_HOST}:5432/db",
		"db":                            "db",
		"the db: a story":               "the db: a story",
	} {
		if got := m.withVariables(value, "X", db); got != want {
			t.Errorf("withVariables(%q)\n got %q\nwant %q", value, got, want)
		}
	}
	if got := m.withVariables("db", "PGHOST", db); got != "db" {
		t.Errorf("PGHOST: %q", got)
	}
	if got := m.withVariables("db", "DB_HOST", db); got != "${DB_HOST:-db}" {
		t.Errorf("DB_HOST: %q", got)
	}
}

func TestTiming(t *testing.T) {
	seconds := func(n int) *types.Duration { d := types.Duration(time.Duration(n) * time.Second); return &d }
	retries := uint64(5)
	m := mapper{}
	for name, c := range map[string]struct {
		check *types.HealthCheckConfig
		want  app.Health
	}{
		"nothing given":     {nil, app.Health{Interval: time.Second, Timeout: 5 * time.Second, Retries: 3, Start: time.Minute}},
		"a start period":    {&types.HealthCheckConfig{StartPeriod: seconds(10), Interval: seconds(2)}, app.Health{Interval: 2 * time.Second, Timeout: 5 * time.Second, Retries: 3, Start: 16 * time.Second}},
		"many slow tries":   {&types.HealthCheckConfig{Interval: seconds(30), Retries: &retries}, app.Health{Interval: 30 * time.Second, Timeout: 5 * time.Second, Retries: 5, Start: 150 * time.Second}},
		"a time-out of own": {&types.HealthCheckConfig{Timeout: seconds(1)}, app.Health{Interval: time.Second, Timeout: time.Second, Retries: 3, Start: time.Minute}},
	} {
		s := service{ServiceConfig: types.ServiceConfig{WorkloadSpec: types.WorkloadSpec{HealthCheck: c.check}}}
		if diff := cmp.Diff(c.want, m.timing(&s, app.Health{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
