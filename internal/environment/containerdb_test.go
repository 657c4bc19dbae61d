package environment

import (
	"testing"

	"greenroom/internal/driver"
	"greenroom/internal/driver/docker"
)

// TestUnkept finds where a server's data would go with its container.
func TestUnkept(t *testing.T) {
	const home = "/var/lib/postgresql"
	before18 := docker.Image{Env: []string{"PATH=/bin", "PGDATA=" + postgresData}, Volumes: []string{postgresData}}
	from18 := docker.Image{Env: []string{"PGDATA=" + home + "/18/docker"}, Volumes: []string{home}}
	bitnami := docker.Image{Volumes: []string{bitnamiData, "/docker-entrypoint-initdb.d"}}
	at := func(targets ...string) *driver.Container {
		c := &driver.Container{}
		for _, target := range targets {
			c.Mounts = append(c.Mounts, driver.Mount{Volume: "v", Target: target})
		}
		return c
	}
	elsewhere := map[string]string{"PGDATA": "/data/pg"}
	for name, c := range map[string]struct {
		image docker.Image
		env   map[string]string
		c     *driver.Container
		want  string
	}{
		"a volume there":                            {before18, nil, at(postgresData), ""},
		"none":                                      {before18, nil, at(), postgresData},
		"one for something else":                    {before18, nil, at("/backups"), postgresData},
		"one above, which the image's own hides":    {before18, nil, at(home), postgresData},
		"one of a name that begins alike":           {before18, nil, at(postgresData + "2"), postgresData},
		"a folder in the volume":                    {before18, map[string]string{"PGDATA": postgresData + "/pg"}, at(postgresData), ""},
		"a folder elsewhere":                        {before18, elsewhere, at(postgresData), "/data/pg"},
		"a folder elsewhere with a volume":          {before18, elsewhere, at("/data"), ""},
		"from 18 on, none":                          {from18, nil, at(), home},
		"from 18 on, where it was":                  {from18, nil, at(postgresData), home},
		"from 18 on, the one above":                 {from18, nil, at(home), ""},
		"Bitnami's":                                 {bitnami, nil, at(), bitnamiData},
		"Bitnami's with a volume":                   {bitnami, nil, at(bitnamiData), ""},
		"an image that asks for nothing":            {docker.Image{}, nil, at(), postgresData},
		"an image that asks for nothing, one there": {docker.Image{}, nil, at(home), ""},
		"in memory, as is asked for":                {before18, nil, &driver.Container{Tmpfs: []driver.Tmpfs{{Target: postgresData}}}, ""},
	} {
		if got := unkept(c.image, c.env, c.c); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
