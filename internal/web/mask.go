package web

import (
	"slices"
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"greenroom/internal/evidence"
	"greenroom/internal/mask"
	"greenroom/internal/term"
)

// maskSection is what the mask will not say once the release is live, with the lines to paste into it.
func maskSection(r evidence.Report) g.Node {
	o := r.Mask
	if o == nil || o.Empty() {
		return nil
	}
	v := evidence.Pass
	if o.Stops() || o.Unknown != "" {
		v = evidence.Inconclusive
	}
	nodes := []g.Node{h.Ul(h.Class("findings"), g.Map(o.Says(), func(said string) g.Node {
		return h.Li(h.Class(verdictClass(v)), h.Span(h.Class("says"), whole(stop(upper(prose(said))))))
	}))}
	var lines []string
	for _, l := range first(o.Add, maxMaskLines) {
		lines = append(lines, name(l))
	}
	if len(lines) > 0 {
		nodes = append(nodes, h.P(g.Text("Lines for "), code(name(o.File)), g.Text(", as "), code("greenroom mask init --add"), g.Text(" would write them:")),
			listing(strings.Join(lines, "\n")), more(len(o.Add), maxMaskLines, h.P))
	}
	if o.Stops() {
		nodes = append(nodes, h.P(g.Text("Put them in, and "), code("greenroom apply"), g.Text(", once the release is live and is to stay: that voids this rehearsal, also as proof that one can go back.")))
	}
	return section("mask", "The next copy of "+name(o.From), append(nodes, names("Without a rule", slices.Concat(o.Missing, o.Judge)), names("No longer needed", o.Unused),
		g.If(o.Omitted > 0, h.P(h.Class("more"), g.Text("and "+term.Number(int64(o.Omitted))+" more; greenroom mask check tells all of them once it is live"))))...)
}

// names is a list of tables and columns, folded away.
func names(what string, list []mask.Remark) g.Node {
	if len(list) == 0 {
		return nil
	}
	return fold(what+": "+term.Number(int64(len(list))), h.Ul(h.Class("losses"), g.Map(first(list, maxMaskNames), func(m mask.Remark) g.Node {
		return h.Li(code(name(m.Name())), whole(" "+prose(m.What)))
	})), more(len(list), maxMaskNames, h.P))
}
