package mask

import (
	"strings"
	"unicode"
)

// nameWords are the words of a column's or a table's name in small letters: customerFirstName, CUSTOMER_FIRST_NAME and
// "Customer first-name" are the same three.
func nameWords(name string) (words []string) {
	var word []rune
	end := func() {
		if len(word) > 0 {
			words = append(words, strings.ToLower(string(word)))
		}
		word = word[:0]
	}
	runes := []rune(name)
	for i, r := range runes {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			end()
			continue
		case unicode.IsUpper(r) && i > 0 && (!unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])):
			end()
		}
		word = append(word, r)
	}
	end()
	return words
}

// vocabulary is words that mean the same, each a word of a name or several in their order. One that begins or ends with *
// is a part of a word, as German puts them together.
type vocabulary []string

func (v vocabulary) in(words []string) bool {
	text := " " + strings.Join(words, " ") + " "
	for _, w := range v {
		front, back := " ", " "
		if c, ok := strings.CutPrefix(w, "*"); ok {
			w, front = c, ""
		}
		if c, ok := strings.CutSuffix(w, "*"); ok {
			w, back = c, ""
		}
		if strings.Contains(text, front+w+back) {
			return true
		}
	}
	return false
}

// sense is what a column's name says that it holds, and what then becomes of it by its kind.
type sense struct {
	says    string // "an e-mail address"
	words   vocabulary
	text    string // the use; "" where a text of this name is none
	number  string // the rule as ParseRule reads it
	time    string
	uuid    string
	safe    bool // it is kept, whatever it is
	secret  bool // it is of no use outside: null, where it can be
	useless bool // nothing outside may be known of it: one constant for all
}

// senses are looked through in their order: what is more precise stands first.
var senses = []sense{
	{says: "a password", useless: true, text: "token", number: "number",
		words: vocabulary{"*password*", "*passwd*", "pwd", "pass", "passhash", "passphrase", "*passwort*", "*kennwort*", "mot de passe", "motdepasse", "*contrasena*", "clave", "pin", "pin code", "encrypted pass", "pw", "pw hash", "otp secret", "totp", "totp secret", "security answer"}},
	{says: "a secret", secret: true, text: "token", uuid: "uuid",
		words: vocabulary{"*token", "*tokens", "*secret*", "api key", "apikey", "access key", "private key", "session", "session id", "sessionid", "session key", "sid", "cookie", "csrf", "nonce", "otp", "salt", "signature", "refresh", "jwt", "credential*", "fingerprint", "recovery code", "recovery codes", "backup codes", "device id", "push id", "invite code", "verification code", "confirmation code", "geheimnis", "schluessel", "jeton", "secreto"}},
	{says: "an e-mail address", text: "email",
		words: vocabulary{"*email*", "*e mail", "mail", "mail address", "mailadresse", "courriel", "correo", "correo electronico", "adresse mail", "cc", "bcc", "reply to", "sender address", "recipient address"}},
	{says: "a network address", text: "ip", words: vocabulary{"ip", "ip address", "ipaddress", "*ip addr", "ipv4", "ipv6", "remote addr", "remote address", "client ip", "mac address", "macaddress", "mac", "last ip", "signin ip", "sign in ip", "ip adresse", "adresse ip", "direccion ip"}},
	{says: "a bank account", text: "iban", number: "number", words: vocabulary{"*iban*", "bank account", "account number", "account no", "kontonummer", "konto nr", "bankverbindung", "numero de compte", "cuenta bancaria", "numero de cuenta", "sort code", "routing number", "*bic", "swift"}},
	{says: "a card's number", text: "card", number: "number", words: vocabulary{"card", "card number", "cardnumber", "card no", "credit card", "creditcard", "cc number", "ccnumber", "pan", "kreditkarte", "kreditkartennummer", "carte bancaire", "numero de carte", "tarjeta", "numero de tarjeta", "cvc", "cvv", "last4", "last 4", "card last4"}},
	{says: "a number that the state gave a person", text: "text", number: "number", words: vocabulary{"ssn", "social security", "social security number", "sin", "nino", "national id", "national insurance", "nationalid", "passport", "passport number", "passport no", "id card", "driver license", "drivers license", "license number", "licence number", "tax id", "taxid", "tax number", "vat", "vat id", "vat number", "tin", "ein", "personal number", "personnummer", "*steuernummer", "steuer id", "*steuer*nr", "*ausweis*", "*versicherungsnummer", "sozialversicherung*", "personalnummer", "nir", "numero securite sociale", "securite sociale", "siret", "siren", "dni", "nie", "nif", "cif", "rfc", "curp", "pesel", "cpf", "pasaporte", "passeport", "insurance number", "policy number", "patient number", "mrn"}},
	{says: "a phone number", text: "phone", number: "number", words: vocabulary{"*phone*", "tel", "*telefon*", "mobile", "mobile no", "mobile number", "cell", "cellphone", "fax", "fax number", "faxnummer", "*handy*", "mobil", "mobilnummer", "rufnummer", "msisdn", "whatsapp", "sms", "portable", "numero de telephone", "telephone", "*telefono*", "movil", "celular"}},
	{says: "a moment of a life", text: "date 365d", time: "date 365d", number: "number", words: vocabulary{"*birth*", "born", "born on", "born at", "dob", "birthday", "*geburt*", "geboren", "geb", "gebdatum", "naissance", "date naissance", "nacimiento", "fecha nacimiento", "died", "died at", "died on", "death", "deceased", "deceased at", "todestag", "sterbedatum", "wedding", "anniversary", "married at", "hired", "hired at", "hire date", "fired at", "diagnosed", "diagnosed at", "admitted", "admitted at", "discharged at"}},
	{says: "a first name", text: "first_name", words: vocabulary{"first name", "firstname", "fname", "given name", "givenname", "forename", "middle name", "middlename", "middle initial", "nickname", "nick name", "preferred name", "*vorname*", "rufname", "prenom", "prenoms", "nombre", "nombre de pila"}},
	{says: "a last name", text: "last_name", words: vocabulary{"last name", "lastname", "lname", "surname", "family name", "familyname", "maiden name", "maidenname", "*nachname*", "*familienname*", "zuname", "geburtsname", "nom", "nom de famille", "nom famille", "apellido", "apellidos", "primer apellido", "segundo apellido"}},
	{says: "a person's name", text: "name", words: vocabulary{"full name", "fullname", "real name", "realname", "display name", "displayname", "person name", "contact name", "contact person", "customer name", "user full name", "client name", "owner name", "author name", "recipient name", "recipient", "sender name", "buyer name", "seller name", "employee name", "patient name", "guest name", "billing name", "shipping name", "cardholder", "card holder", "cardholder name", "account holder", "kontoinhaber", "ansprechpartner", "kundenname", "empfaenger", "absender", "nom complet", "nombre completo", "titulaire", "titular", "attn", "care of", "emergency contact", "legal name", "manager name", "doctor name", "physician name", "teacher name", "student name", "driver name", "agent name", "supervisor name", "parent name", "father name", "mother name", "spouse name", "partner name", "member name", "holder name", "beneficiary", "beneficiary name", "payee", "payer", "author", "assignee", "reporter", "signed by", "ordered by"}},
	{says: "a user's name", text: "username", words: vocabulary{"username", "user name", "login", "login name", "loginname", "user login", "screen name", "screenname", "handle", "benutzername", "benutzer", "anmeldename", "nom utilisateur", "utilisateur", "identifiant", "usuario", "nombre usuario", "nombre de usuario", "twitter", "instagram", "facebook", "linkedin", "github", "skype", "telegram", "slack id", "slack handle"}},
	{says: "a company", text: "company", words: vocabulary{"company", "company name", "companyname", "organisation name", "organization name", "organisation", "organization", "org name", "business name", "firm", "firma", "firmenname", "unternehmen", "employer", "arbeitgeber", "societe", "entreprise", "raison sociale", "empresa", "razon social", "supplier name", "vendor name"}},
	{says: "a postcode", text: "postcode", number: "number", words: vocabulary{"zip", "*zipcode", "zip code", "*postcode", "post code", "postal code", "*postalcode", "plz", "*postleitzahl", "code postal", "codepostal", "codigo postal", "cp"}},
	{says: "a place", text: "city", words: vocabulary{"city", "town", "village", "suburb", "district", "county", "hometown", "birthplace", "stadt", "ort", "wohnort", "geburtsort", "ortsteil", "gemeinde", "ville", "commune", "ciudad", "localidad", "poblacion", "municipio", "provincia", "place of birth"}},
	{says: "an address", text: "address", words: vocabulary{"*address", "address*", "addr", "addr1", "addr2", "*street*", "house number", "house no", "housenumber", "building", "apartment", "apt", "flat", "suite", "address line", "address line1", "line1", "line2", "line 1", "line 2", "po box", "*adresse*", "*anschrift*", "*strasse*", "*straße*", "str", "hausnummer", "hausnr", "postfach", "rue", "voie", "direccion", "calle", "domicilio", "location"}},
	{says: "where somebody is", text: "text", number: "number -90..90", words: vocabulary{"lat", "latitude", "breitengrad", "latitud", "geo lat"}},
	{says: "where somebody is", text: "text", number: "number -180..180", words: vocabulary{"lng", "lon", "long", "longitude", "laengengrad", "längengrad", "longitud", "geo lng", "geo lon"}},
	{says: "what a person earns or owns", text: "number", number: "number", words: vocabulary{"salary", "income", "wage", "wages", "net worth", "credit score", "credit limit", "gehalt", "einkommen", "lohn", "salaire", "revenu", "salario", "sueldo", "ingresos", "bonus", "compensation", "pension"}},
	{says: "what a person is", text: "text", number: "number", words: vocabulary{"gender", "sex", "age", "weight kg", "height cm", "body weight", "blood type", "blood group", "religion", "ethnicity", "race", "nationality", "marital status", "disability", "diagnosis", "allergies", "medication", "political", "orientation", "geschlecht", "alter", "konfession", "familienstand", "staatsangehoerigkeit", "sexe", "genre", "edad", "sexo", "maiden"}},
	{says: "a web address", text: "url", words: vocabulary{"*url", "urls", "uri", "website", "web site", "homepage", "link", "href", "webseite", "site web", "sitio web", "avatar", "photo", "picture", "profile picture", "callback"}},
	{says: "a name of a file", text: "text", words: vocabulary{"filename", "file name", "file path", "filepath", "path"}},
	{says: "a checksum", text: "token", words: vocabulary{"*hash", "hash", "digest", "checksum", "sha1", "sha256", "md5", "etag"}},
	{says: "a code by its name", safe: true, words: vocabulary{"status", "type", "kind", "currency", "currency code", "country", "country code", "countrycode", "language", "lang", "locale", "timezone", "time zone", "tz", "unit", "units", "sku", "mime type", "content type", "level", "priority", "severity", "mode", "role", "plan", "tier", "gateway", "provider", "queue", "event type", "action", "format", "encoding", "algorithm", "version", "category", "platform", "channel", "method", "scope", "stage", "phase", "frequency", "land", "waehrung", "sprache", "pays", "devise", "langue", "pais", "moneda", "idioma", "estado", "etat", "rolle", "typ", "art", "einheit", "prioritaet"}},
}

// Tables by what their rows are, for columns whose names say too little alone.
var (
	peopleTables = vocabulary{"user", "users", "person", "persons", "people", "customer", "customers", "client", "clients", "contact", "contacts", "member", "members", "employee", "employees", "staff", "patient", "patients", "student", "students", "teacher", "teachers", "author", "authors", "guest", "guests", "subscriber", "subscribers", "lead", "leads", "profile", "profiles", "driver", "drivers", "participant", "participants", "attendee", "attendees", "recipient", "recipients", "applicant", "applicants", "candidate", "candidates", "tenant", "admin", "admins", "kunde", "kunden", "person*", "benutzer", "mitarbeiter", "mitglied", "mitglieder", "personne", "personnes", "clientes", "cliente", "usuario", "usuarios", "empleado", "empleados", "utilisateur", "utilisateurs", "adherent", "adherents"}

	companyTables = vocabulary{"company", "companies", "organization", "organizations", "organisation", "organisations", "org", "orgs", "supplier", "suppliers", "vendor", "vendors", "firm", "firms", "business", "businesses", "employer", "employers", "firma", "firmen", "lieferant", "lieferanten", "societe", "entreprise", "entreprises", "empresa", "empresas", "proveedor", "proveedores", "accounts", "account", "tenants", "merchant", "merchants", "partner", "partners"}

	bareNames  = vocabulary{"name", "title name", "label"}
	stateWords = vocabulary{"state", "province", "region", "bundesland"}
	placeWords = vocabulary{"city", "town", "street", "zip", "postcode", "postal code", "plz", "stadt", "ort", "strasse", "ville", "ciudad", "zipcode", "zip code"}
)

// versionTables are where tools keep which migrations have run. They are kept whole: without them no migration runs.
var versionTables = map[string]bool{
	"goose_db_version": true, "schema_migrations": true, "schema_migration": true, "schema_version": true,
	"flyway_schema_history": true, "django_migrations": true, "ar_internal_metadata": true, "alembic_version": true,
	"knex_migrations": true, "knex_migrations_lock": true, "migrations": true, "databasechangelog": true,
	"databasechangeloglock": true, "_prisma_migrations": true, "sequelizemeta": true, "gorp_migrations": true,
	"atlas_schema_revisions": true, "__efmigrationshistory": true, "doctrine_migration_versions": true, "phinxlog": true,
	"mikro_orm_migrations": true, "__drizzle_migrations": true, "refinery_schema_history": true, "_sqlx_migrations": true,
	"__diesel_schema_migrations": true, "bun_migrations": true, "bun_migration_locks": true, "pgmigrations": true,
}
