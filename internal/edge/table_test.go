package edge

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"greenroom/internal/problem"
)

func good() Table {
	return Table{Format: Format, Version: 7, Front: []string{"127.0.0.1:80", "[::1]:80"}, Routes: []Route{
		{
			Name: "shop/production", Listen: []string{"127.0.0.1:7003"}, Hosts: []string{"shop.example.com"}, Protocol: HTTP, Sticky: true,
			Pools: []Pool{share("new", 10, "127.0.0.1:9001"), {
				Release: "old", Weight: 90, Backends: []Backend{{ID: "a", Network: "unix", Address: "/run/a.sock"}},
				Health: &Health{Path: "/up", Interval: time.Second},
			}},
			Hold: time.Second, Timeouts: Timeouts{Response: time.Minute},
		},
		{Name: "shop/production/db", Listen: []string{"127.0.0.1:7004"}, Protocol: TCP, Pools: all("old", "127.0.0.1:5432")},
		{Name: "shop/qa", Listen: []string{"127.0.0.1:7005"}, Protocol: HTTP, Maintenance: &Maintenance{Message: "soon", Until: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}},
		{
			Name: "shop/rehearsal", Listen: []string{"127.0.0.1:7006"}, Protocol: HTTP,
			Inside: &Inside{Broker: "/networks/shop/rehearsal/broker.sock", Listen: []string{"127.0.0.1:7006", "127.0.0.1:7003"}}, // another's outside
			Pools:  []Pool{{Release: "new", Backends: []Backend{{ID: "b", Network: "tcp", Address: "127.0.0.1:9001", Broker: "/networks/shop/rehearsal/broker.sock"}}}},
		},
	}}
}

func TestTableOnTheWire(t *testing.T) {
	b, err := good().Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(good(), got); d != "" {
		t.Error(d)
	}
}

func TestWrongTables(t *testing.T) {
	tests := []struct {
		name  string
		wrong func(*Table)
		want  string
	}{
		{"format", func(t *Table) { t.Format = 0 }, "format is 0"},
		{"no name", func(t *Table) { t.Routes[0].Name = "" }, "route 0 has no name"},
		{"name twice", func(t *Table) { t.Routes[1].Name = t.Routes[0].Name }, "route shop/production is there twice"},
		{"protocol", func(t *Table) { t.Routes[0].Protocol = "quic" }, `protocol "quic"`},
		{"address twice", func(t *Table) { t.Routes[1].Listen = t.Routes[0].Listen }, "shop/production and shop/production/db both listen on 127.0.0.1:7003"},
		{"address of the front", func(t *Table) { t.Routes[1].Listen = t.Front[:1] }, "front and shop/production/db both listen on 127.0.0.1:80"},
		{"no address", func(t *Table) { t.Routes[0].Listen = []string{"localhost:80"} }, `"localhost:80", which is not IP:PORT`},
		{"port 0", func(t *Table) { t.Routes[0].Listen = []string{"127.0.0.1:0"} }, "not IP:PORT"},
		{"broker without a path", func(t *Table) { t.Routes[2].Inside = &Inside{Broker: "broker.sock", Listen: []string{"127.0.0.1:1"}} }, `broker "broker.sock"`},
		{"broker with a bar", func(t *Table) { t.Routes[0].Pools[0].Backends[0].Broker = "/a|b" }, `broker "/a|b"`},
		{"no address inside", func(t *Table) { t.Routes[2].Inside = &Inside{Broker: "/b", Listen: []string{"/run/a.sock"}} }, "not IP:PORT"},
		{"address twice inside", func(t *Table) {
			t.Routes[1].Inside = &Inside{Broker: "/b", Listen: []string{"127.0.0.1:1"}}
			t.Routes[2].Inside = t.Routes[1].Inside
		}, "shop/production/db and shop/qa both listen on 127.0.0.1:1"},
		{"unix inside", func(t *Table) { t.Routes[0].Pools[1].Backends[0].Broker = "/b" }, `in a namespace on network "unix"`},
		{"two spellings", func(t *Table) { t.Routes[0].Listen = []string{"[0::1]:81"} }, `written "[::1]:81"`},
		{"host twice", func(t *Table) { t.Routes[2].Hosts = t.Routes[0].Hosts }, "both have host shop.example.com"},
		{"host with port", func(t *Table) { t.Routes[0].Hosts = []string{"a.example:80"} }, `host "a.example:80"`},
		{"host in capitals", func(t *Table) { t.Routes[0].Hosts = []string{"A.example"} }, "lower case"},
		{"tcp with hosts", func(t *Table) { t.Routes[1].Hosts = []string{"db.example"} }, "is tcp and cannot have hosts"},
		{"tcp with health", func(t *Table) { t.Routes[1].Pools[0].Health = &Health{Path: "/up"} }, "is tcp and cannot have a health path"},
		{"shares", func(t *Table) { t.Routes[0].Pools[0].Weight = 20 }, "add up to 110 percent"},
		{"negative share", func(t *Table) { t.Routes[0].Pools[0].Weight = -10; t.Routes[0].Pools[1].Weight = 110 }, "-10 percent"},
		{"release twice", func(t *Table) { t.Routes[0].Pools[0].Release = "old" }, `release "old" twice`},
		{"share of nothing", func(t *Table) { t.Routes[0].Pools[0].Backends = nil }, "which has no back end, 10 percent"},
		{"network", func(t *Table) { t.Routes[1].Pools[0].Backends[0].Network = "udp" }, `network "udp"`},
		{"back end", func(t *Table) { t.Routes[1].Pools[0].Backends[0].Address = "db:5432" }, "which is not IP:PORT"},
		{"socket", func(t *Table) { t.Routes[0].Pools[1].Backends[0].Address = "a.sock" }, "not an absolute path"},
		{"no id", func(t *Table) { t.Routes[0].Pools[1].Backends[0].ID = "" }, "without an id"},
		{"health path", func(t *Table) { t.Routes[0].Pools[1].Health.Path = "up" }, `health path "up"`},
		{"hold", func(t *Table) { t.Routes[0].Hold = -1 }, "negative duration"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			table := good()
			tt.wrong(&table)
			p := problem.From(table.Validate())
			if p == nil || p.Code != problem.Invalid || !strings.Contains(p.Message, tt.want) {
				t.Errorf("got %+v, want %q", p, tt.want)
			}
		})
	}
}

func TestUnreadableTables(t *testing.T) {
	for name, b := range map[string]string{
		"nothing":      "",
		"cut off":      `{"format":1,"routes":[`,
		"unknown key":  `{"format":1,"version":1,"routes":[],"roots":[]}`,
		"unknown deep": `{"format":1,"version":1,"routes":[{"name":"a","protocol":"http","sticki":true}]}`,
		"more behind":  `{"format":1,"version":1,"routes":[]} {}`,
		"newer format": `{"format":2,"version":1,"ruts":[]}`,
		"wrong type":   `{"format":1,"version":-1,"routes":[]}`,
	} {
		if _, err := Decode([]byte(b)); problem.From(err) == nil || problem.From(err).Code != problem.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Decode([]byte(`{"format":2,"version":1,"ruts":[]}`)); problem.From(err).Hint == "" {
		t.Error("a newer format has no hint")
	}
}

// Whatever Decode takes, it gives back the same, and it is ready for requests.
func FuzzDecode(f *testing.F) {
	b, err := good().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"format":1,"routes":[{"name":"a","protocol":"tcp","listen":["1.2.3.4:5"]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		one, err := Decode(b)
		if err != nil {
			return
		}
		again, err := one.Encode()
		if err != nil {
			t.Fatal(err)
		}
		two, err := Decode(again)
		if err != nil {
			t.Fatal(err)
		}
		last, err := two.Encode()
		if err != nil || string(last) != string(again) {
			t.Fatalf("%s\nis not\n%s", again, last)
		}
		for _, r := range one.Routes {
			for i := range r.Pools {
				r.Pools[i].Health = nil // no probes
			}
		}
		k := newKeeper()
		l := k.ready(one)
		for a := range wanted(one) {
			if r := l.find(a, ""); r != nil {
				b, _ := r.bucket(nil)
				r.pool(b)
			}
		}
		k.close()
	})
}
