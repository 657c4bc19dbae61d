package definition

import (
	"path"
	"strings"
)

const postgresPort = 5432

// imageName is the last part of an image without its tag: docker.io/library/postgres:16-alpine is postgres.
func imageName(image string) string {
	image, _, _ = strings.Cut(image, "@")
	name := path.Base(image)
	name, _, _ = strings.Cut(name, ":")
	return name
}

// isPostgres says whether an image is a plain PostgreSQL, which Greenroom serves itself: the official image under any
// registry, and Bitnami's.
func isPostgres(image string) bool {
	name := imageName(image)
	return name == "postgres" || name == "postgresql"
}

// wellKnownImage is an image that many Compose files have beside the app's own services.
type wellKnownImage struct {
	run       string // how its program is started, where it is installed on the machine
	port      int
	protocol  string
	skip      string // why it is not needed here
	extension string // of PostgreSQL
}

// wellKnown is what is known of an image beside the app.
func wellKnown(image string) (wellKnownImage, bool) {
	const edge = "the edge does this"
	k, ok := map[string]wellKnownImage{
		"redis":       {run: "redis-server --port $PORT", port: 6379, protocol: "tcp"},
		"valkey":      {run: "valkey-server --port $PORT", port: 6379, protocol: "tcp"},
		"memcached":   {run: "memcached -l 127.0.0.1 -p $PORT", port: 11211, protocol: "tcp"},
		"nats":        {run: "nats-server -p $PORT", port: 4222, protocol: "tcp"},
		"nginx":       {skip: edge},
		"traefik":     {skip: edge},
		"caddy":       {skip: edge},
		"haproxy":     {skip: edge},
		"nginx-proxy": {skip: edge},
		"adminer":     {skip: "a tool for development"},
		"pgadmin4":    {skip: "a tool for development"},
		"mailhog":     {skip: "a tool for development"},
		"mailpit":     {skip: "a tool for development"},
		"postgis":     {extension: "PostGIS"},
		"pgvector":    {extension: "pgvector"},
		"timescaledb": {extension: "TimescaleDB"},
		"pgbouncer":   {skip: "services reach the database directly"},
	}[imageName(image)]
	return k, ok
}
