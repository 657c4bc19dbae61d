package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// target is one thing to measure.
type target struct {
	name    string
	program string                   // that must be on the machine; "" for what is ours
	start   func() (*process, error) // on the proxies' core
}

// targetsFor gives all that is compared. Each is told to do the same: one core, kept-alive connections on both sides,
// forwarding headers, no access log.
func targetsFor(dir, backend string) []target {
	conf := func(name, program, text string, argv func(file string) []string) target {
		return target{name: name, program: program, start: func() (*process, error) {
			addr := freeAddr()
			file := filepath.Join(dir, name+".conf")
			if err := os.WriteFile(file, []byte(expand(text, dir, addr, backend)), 0o600); err != nil {
				return nil, err
			}
			return start(proxyCore, addr, []string{"XDG_CONFIG_HOME=" + dir, "XDG_DATA_HOME=" + dir}, append([]string{program}, argv(file)...)...)
		}}
	}
	return []target{
		{name: "direct", start: func() (*process, error) { return &process{addr: backend}, nil }},
		{name: "bare ReverseProxy", start: func() (*process, error) { return startRole(proxyCore, "bare", freeAddr(), backend) }},
		{name: "greenroom", start: func() (*process, error) { return startEdge(dir, backend) }},
		conf("caddy", "caddy", caddyConf, func(f string) []string { return []string{"run", "--adapter", "caddyfile", "--config", f} }),
		conf("nginx", "nginx", nginxConf, func(f string) []string { return []string{"-p", dir, "-c", f} }),
		conf("haproxy", "haproxy", haproxyConf, func(f string) []string { return []string{"-db", "-q", "-f", f} }),
	}
}

// available leaves out, loudly, what the machine does not have.
func available(ts []target) []target {
	var have []target
	for _, t := range ts {
		if t.program != "" {
			if _, err := exec.LookPath(t.program); err != nil {
				fmt.Fprintf(os.Stderr, "SKIPPED: %s is not on this machine (apt-get install %s)\n", t.name, t.program)
				continue
			}
		}
		have = append(have, t)
	}
	return have
}

func expand(text, dir, addr, backend string) string {
	return os.Expand(text, func(k string) string {
		switch k {
		case "DIR":
			return dir
		case "ADDR":
			return addr
		case "BACKEND":
			return backend
		}
		return "$" + k
	})
}

const caddyConf = `{
	admin off
	auto_https off
	log {
		output discard
	}
}
http://${ADDR} {
	reverse_proxy ${BACKEND}
}
`

const nginxConf = `daemon off;
master_process off;
worker_processes 1;
pid ${DIR}/nginx.pid;
error_log stderr crit;
events { worker_connections 4096; }
http {
	access_log off;
	client_body_temp_path ${DIR}/nginx-body;
	proxy_temp_path ${DIR}/nginx-proxy;
	fastcgi_temp_path ${DIR}/nginx-fastcgi;
	uwsgi_temp_path ${DIR}/nginx-uwsgi;
	scgi_temp_path ${DIR}/nginx-scgi;
	upstream app { server ${BACKEND}; keepalive 256; keepalive_requests 100000000; }
	server {
		listen ${ADDR};
		keepalive_requests 100000000;
		location / {
			proxy_pass http://app;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header Host $host;
			proxy_set_header X-Forwarded-For $remote_addr;
			proxy_set_header X-Forwarded-Proto $scheme;
			proxy_set_header X-Forwarded-Host $host;
		}
	}
}
`

const haproxyConf = `global
	nbthread 1
	maxconn 4096
defaults
	mode http
	timeout connect 2s
	timeout client 60s
	timeout server 60s
	option http-keep-alive
	option forwardfor
	http-reuse always
frontend in
	bind ${ADDR}
	http-request set-header X-Forwarded-Proto http
	default_backend app
backend app
	server app ${BACKEND}
`
