package mask

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// bigShape is a schema as grown products have them. A column is "name type", behind which stand ! for not null, * for
// the key, = for unique, # for generated and > with what it refers to; its kind follows from the type.
func bigShape() Shape {
	tables := map[string]string{
		"users":                     "id bigint*! | email citext=! | encrypted_password text! | reset_token text | first_name text | lastName text | date_of_birth date | phone character varying(30) | locale text | created_at timestamp with time zone | current_sign_in_ip inet | preferences jsonb | admin boolean | full_name text#",
		"addresses":                 "id bigint*! | user_id bigint!>users.id | street text | house_no text | zip text | city text | state text | country character(2) | lat numeric(9,6) | lng numeric(9,6) | location_point point",
		"orders":                    "id uuid*! | user_id bigint>users.id | customer_email text | total numeric(10,2) | status order_status! | note text | tags text[] | delivered_on date | ip_address text",
		"order_items":               "order_id uuid*!>orders.id | line integer*! | sku text! | quantity integer | price money",
		"products":                  "id integer*! | name text! | description text | slug text=! | attributes jsonb | search tsvector! | weight_grams integer | image_url text",
		"sessions":                  "session_id text*! | data bytea | user_id bigint>users.id | updated_at timestamp without time zone",
		"api_keys":                  "id bigint*! | secret text! | token_digest character varying(64)=!",
		"payments":                  "id bigint*! | iban character varying(34) | card_last4 character(4) | cardholder text | amount numeric(10,2) | raw xml",
		"kunden":                    "id bigint*! | vorname text | nachname text | geburtsdatum date | strasse text | plz text | ort text | telefonnummer text | ustid text | kontonummer bigint",
		"clients":                   "id bigint*! | nom text | prenom text | courriel text | code_postal text | ville text | naissance date",
		"empleados":                 "id bigint*! | apellidos text | correo_electronico text | direccion text | salario numeric | dni text",
		"companies":                 "id bigint*! | name text | vatNumber text | website text",
		"people":                    "id bigint*! | name text | ssn text | gender text",
		"employees":                 "username text*! | managerName text | salary integer | manager text>employees.username | hired_at date",
		"audit.events":              "id bigint*! | payload json | actor text | remote_addr inet | user_agent text",
		"outbox":                    "id bigint*! | body bytea! | headers hstore! | topic text",
		"countries":                 "code character(2)*! | name text",
		"goose_db_version":          "id integer*! | version_id bigint! | is_applied boolean! | tstamp timestamp without time zone",
		"ops.schema_migrations":     "version text*!",
		"flyway_schema_history":     "installed_rank integer*! | description text | installed_by text",
		"django_migrations":         "id integer*! | app text | name text",
		"ar_internal_metadata":      "key text*! | value text",
		"attachments":               "id bigint*! | file_name text | content bytea | checksum text | content_type text",
		"places":                    "id bigint*! | geom geometry! | boundary geometry",
		"feature_flags":             "key text*! | enabled boolean | rollout int4range",
		"messages":                  "id bigint*! | subject text | body text | from_address text | recipient_ids bigint[] | cc text[] | meta custom_enum[]",
		"invitations":               "id bigint*! | email text | token text=! | expires_at timestamp with time zone",
		"subscriptions":             "id bigint*! | plan text | state text | stripe_customer_id text | renews_at date",
		"logins":                    "id bigint*! | login text | ip inet | device_id text | success boolean",
		"Patients":                  "Id integer*! | FullName text | MRN text | BloodType text | Diagnosis text | AdmittedAt timestamp without time zone",
		"measurements":              "id bigint*! | sensor uuid | value double precision | at timestamp with time zone | duration interval",
		"newsletter \"quoted\" äöü": "e-mail text | Öffnung text",
	}
	var s Shape
	for name, columns := range tables {
		t := Table{Name: name, Rows: -1}
		for text := range strings.SplitSeq(columns, " | ") {
			t.Columns = append(t.Columns, columnOf(text))
		}
		s.Tables = append(s.Tables, t)
	}
	slices.SortFunc(s.Tables, func(a, b Table) int { return strings.Compare(a.Name, b.Name) })
	return s
}

func columnOf(text string) Column {
	text, refers, _ := strings.Cut(text, ">")
	flags := text[len(strings.TrimRight(text, "!*=#")):]
	name, kind, _ := strings.Cut(strings.TrimRight(text, "!*=#"), " ")
	c := Column{Name: name, Type: kind, Refers: refers, NotNull: strings.Contains(flags, "!"), Key: strings.Contains(flags, "*"),
		Unique: strings.Contains(flags, "="), Generated: strings.Contains(flags, "#"), Kind: elementKind(kind)}
	if strings.HasSuffix(kind, "[]") {
		c.Kind = KindArray
	}
	if kind == "order_status" {
		c.Kind, c.Labels = KindEnum, []string{"open", "shipped"}
	}
	if kind := strings.TrimRight(kind, ")"); c.Kind == KindText && strings.Contains(kind, "(") {
		if _, err := fmt.Sscan(kind[strings.IndexByte(kind, '(')+1:], &c.Length); err != nil {
			panic(err)
		}
	}
	return c
}

func TestPropose(t *testing.T) {
	rules, notes := Propose(bigShape())
	got := map[string]string{}
	for table, r := range rules.Tables {
		for column, rule := range r.Columns {
			got[table+"."+column] = rule.String()
		}
	}
	want := map[string]string{
		"users.id": "keep", "users.email": "email", "users.encrypted_password": `{constant: "!"}`, "users.reset_token": "null", "users.first_name": "first_name",
		"users.lastName": "last_name", "users.date_of_birth": "date 365d", "users.phone": "phone", "users.locale": "keep", "users.created_at": "keep",
		"users.current_sign_in_ip": "ip", "users.preferences": "json", "users.admin": "keep",
		"addresses.id": "keep", "addresses.user_id": "keep", "addresses.street": "address", "addresses.house_no": "address", "addresses.zip": "postcode", "addresses.city": "city",
		"addresses.state": "city", "addresses.country": "keep", "addresses.lat": "number -90..90", "addresses.lng": "number -180..180", "addresses.location_point": "null",
		"orders.id": "keep", "orders.user_id": "keep", "orders.customer_email": "email", "orders.total": "keep", "orders.status": "keep", "orders.note": "text", "orders.tags": "array text",
		"orders.delivered_on": "keep", "orders.ip_address": "ip",
		"order_items.order_id": "keep", "order_items.line": "keep", "order_items.sku": "keep", "order_items.quantity": "keep", "order_items.price": "keep",
		"products.id": "keep", "products.name": "text", "products.description": "text", "products.slug": "text", "products.attributes": "json", "products.search": `{constant: ""}`,
		"products.weight_grams": "keep", "products.image_url": "url",
		"sessions.session_id": "token", "sessions.data": "bytes", "sessions.user_id": "keep", "sessions.updated_at": "keep",
		"api_keys.id": "keep", "api_keys.secret": "token", "api_keys.token_digest": "token",
		"payments.id": "keep", "payments.iban": "iban", "payments.card_last4": "card", "payments.cardholder": "name", "payments.amount": "keep", "payments.raw": "xml",
		"kunden.id": "keep", "kunden.vorname": "first_name", "kunden.nachname": "last_name", "kunden.geburtsdatum": "date 365d", "kunden.strasse": "address", "kunden.plz": "postcode",
		"kunden.ort": "city", "kunden.telefonnummer": "phone", "kunden.ustid": "text", "kunden.kontonummer": "number",
		"clients.id": "keep", "clients.nom": "last_name", "clients.prenom": "first_name", "clients.courriel": "email", "clients.code_postal": "postcode", "clients.ville": "city", "clients.naissance": "date 365d",
		"empleados.id": "keep", "empleados.apellidos": "last_name", "empleados.correo_electronico": "email", "empleados.direccion": "address", "empleados.salario": "number", "empleados.dni": "text",
		"companies.id": "keep", "companies.name": "company", "companies.vatNumber": "text", "companies.website": "url",
		"people.id": "keep", "people.name": "name", "people.ssn": "text", "people.gender": "text",
		"employees.username": "username", "employees.managerName": "name", "employees.salary": "number", "employees.manager": "username", "employees.hired_at": "date 365d",
		"audit.events.id": "keep", "audit.events.payload": "json", "audit.events.actor": "text", "audit.events.remote_addr": "ip", "audit.events.user_agent": "text",
		"outbox.id": "keep", "outbox.body": "bytes", "outbox.headers": `{constant: ""}`, "outbox.topic": "text",
		"countries.code": "keep", "countries.name": "text",
		"goose_db_version.id": "keep", "goose_db_version.version_id": "keep", "goose_db_version.is_applied": "keep", "goose_db_version.tstamp": "keep",
		"ops.schema_migrations.version": "keep", "flyway_schema_history.installed_rank": "keep", "flyway_schema_history.description": "keep", "flyway_schema_history.installed_by": "keep",
		"django_migrations.id": "keep", "django_migrations.app": "keep", "django_migrations.name": "keep", "ar_internal_metadata.key": "keep", "ar_internal_metadata.value": "keep",
		"attachments.id": "keep", "attachments.file_name": "text", "attachments.content": "bytes", "attachments.checksum": "token", "attachments.content_type": "keep",
		"places.id": "keep", "places.boundary": "null",
		"feature_flags.key": "keep", "feature_flags.enabled": "keep", "feature_flags.rollout": "keep",
		"messages.id": "keep", "messages.subject": "text", "messages.body": "text", "messages.from_address": "address", "messages.recipient_ids": "keep", "messages.cc": "array email", "messages.meta": "null",
		"invitations.id": "keep", "invitations.email": "email", "invitations.token": "token", "invitations.expires_at": "keep",
		"subscriptions.id": "keep", "subscriptions.plan": "keep", "subscriptions.state": "keep", "subscriptions.stripe_customer_id": "text", "subscriptions.renews_at": "keep",
		"logins.id": "keep", "logins.login": "username", "logins.ip": "ip", "logins.device_id": "null", "logins.success": "keep",
		"Patients.Id": "keep", "Patients.FullName": "name", "Patients.MRN": "text", "Patients.BloodType": "text", "Patients.Diagnosis": "text", "Patients.AdmittedAt": "date 365d",
		"measurements.id": "keep", "measurements.sensor": "keep", "measurements.value": "keep", "measurements.at": "keep", "measurements.duration": "keep",
		"newsletter \"quoted\" äöü.e-mail": "email", "newsletter \"quoted\" äöü.Öffnung": "text",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("proposed (-want +got):\n%s", diff)
	}
	for _, n := range notes {
		if n.Why == "" {
			t.Errorf("%s.%s: %s has no reason", n.Table, n.Column, n.Use)
		}
	}
	if !slices.ContainsFunc(notes, func(n Note) bool { return n.Column == "geom" && n.Use == "" && n.Judged }) {
		t.Error("nobody is asked about places.geom")
	}
}

// TestProposedIsComplete: what is proposed compiles, but for the column that a person has to decide about; then Merge
// adds what is new and leaves the rest.
func TestProposedIsComplete(t *testing.T) {
	shape := bigShape()
	rules, _ := Propose(shape)
	_, err := Compile(rules, testKey(1), shape)
	if err == nil || strings.Count(err.Error(), "no rule names") != 1 || !strings.Contains(err.Error(), "  places:\n    geom: keep") {
		t.Fatalf("not only places.geom is missing: %v", err)
	}
	rules.Tables["places"].Columns["geom"] = Rule{Use: "keep"}
	if _, err := Compile(rules, testKey(1), shape); err != nil {
		t.Fatal(err)
	}
	old := Rules{Tables: map[string]TableRules{
		"users":      {Columns: map[string]Rule{"id": {Use: "number"}, "email": {Use: "hash"}, "gone": {Use: "keep"}}},
		"sessions":   {Rows: "none"},
		"vanished":   {},
		"api_keys":   rules.Tables["api_keys"],
		"addresses":  {Columns: map[string]Rule{"id": {Use: "null"}}},
		"goose_logs": {},
	}}
	merged, notes := Merge(old, shape)
	for table, column := range map[string]string{"users": "email", "addresses": "id"} {
		if merged.Tables[table].Columns[column].Use != old.Tables[table].Columns[column].Use {
			t.Errorf("%s.%s was changed", table, column)
		}
	}
	if merged.Tables["addresses"].Columns["user_id"].Use != "number" {
		t.Error("what refers to a column with a rule has not that one's")
	}
	if len(old.Tables["users"].Columns) != 3 || merged.Tables["sessions"].Rows != "none" || len(merged.Tables["sessions"].Columns) != 0 {
		t.Error("what there was is not what it was")
	}
	for _, n := range notes {
		if _, ok := old.Tables[n.Table].Columns[n.Column]; ok {
			t.Errorf("a note of %s.%s, which was there", n.Table, n.Column)
		}
	}
}
